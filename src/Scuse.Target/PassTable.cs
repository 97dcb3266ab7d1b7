namespace Scuse.Target;

/// <summary>How much reaches the handler of a logical unit.</summary>
public enum PassLevel
{
    /// <summary>Reads and writes; what else a block device needs, the engine's device server asks of the handler in these few words.</summary>
    Io,

    /// <summary>Every command but those that the target core owns: the division of the Linux kernel's passthrough.</summary>
    All,
}

/// <summary>Who answers a command.</summary>
public enum Responder
{
    /// <summary>The target core: it needs to know the nexus or the other logical units.</summary>
    TargetCore,

    /// <summary>The engine's device server, which may in turn read and write through the handler.</summary>
    DeviceServer,

    /// <summary>The handler, through the ring, with the CDB as the initiator sent it.</summary>
    Handler,
}

/// <summary>The one table that says what the target answers itself and what goes to the handler.</summary>
public static class PassTable
{
    static readonly Responder[] AtIo = Build(Responder.DeviceServer);
    static readonly Responder[] AtAll = Build(Responder.Handler);

    /// <summary>Who answers commands with this operation code.</summary>
    public static Responder For(PassLevel level, byte operationCode) => (level == PassLevel.Io ? AtIo : AtAll)[operationCode];

    static Responder[] Build(Responder others)
    {
        var table = new Responder[256];
        Array.Fill(table, others);

        // Owned by the core at every level: they speak of the target as a whole, or of who the initiator is.
        table[0xA0] = Responder.TargetCore; // REPORT LUNS
        table[0x5E] = Responder.TargetCore; // PERSISTENT RESERVE IN
        table[0x5F] = Responder.TargetCore; // PERSISTENT RESERVE OUT
        table[0x16] = Responder.TargetCore; // RESERVE(6)
        table[0x17] = Responder.TargetCore; // RELEASE(6)
        table[0x56] = Responder.TargetCore; // RESERVE(10)
        table[0x57] = Responder.TargetCore; // RELEASE(10)

        // The data path: to the handler at every level.
        table[0x08] = Responder.Handler; // READ(6)
        table[0x28] = Responder.Handler; // READ(10)
        table[0xA8] = Responder.Handler; // READ(12)
        table[0x88] = Responder.Handler; // READ(16)
        table[0x0A] = Responder.Handler; // WRITE(6)
        table[0x2A] = Responder.Handler; // WRITE(10)
        table[0xAA] = Responder.Handler; // WRITE(12)
        table[0x8A] = Responder.Handler; // WRITE(16)
        return table;
    }
}
