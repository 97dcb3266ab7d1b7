namespace Scuse.Engine.Management;

/// <summary>What commands spend their time with.</summary>
public enum CommandStage
{
    /// <summary>Waiting: for room in the data area, for a slot in the ring, for commands before it.</summary>
    Queue,

    /// <summary>Its data comes from the initiator.</summary>
    NetworkIn,

    /// <summary>The command, and then its answer, stands in the ring; of a handler that does not tell its own time, that as well.</summary>
    Ring,

    /// <summary>The handler is at work on it.</summary>
    Handler,

    /// <summary>Its data and status are sent.</summary>
    NetworkOut,

    /// <summary>All of it: from the command's arrival until its answer was handed to the network.</summary>
    Total,
}
