namespace Scuse.Ring;

/// <summary>What the target wrote into the shared region makes no sense to the handler; the region is of no further use.</summary>
public sealed class RingFormatException : Exception
{
    /// <summary>An exception without a message of its own.</summary>
    public RingFormatException() { }

    /// <summary>An exception that says what was seen and what was expected.</summary>
    public RingFormatException(string message) : base(message) { }

    /// <summary>An exception that says what was seen and what was expected, and what led to it.</summary>
    public RingFormatException(string message, Exception innerException) : base(message, innerException) { }
}
