namespace Scuse.Device;

/// <summary>One command as the device server receives it: a CDB, and the buffers the initiator has for it.</summary>
/// <param name="Cdb">The CDB; valid until the command ends.</param>
/// <param name="DataOut">The data that came with the command; it may be shorter than the CDB says, then only that much is done.</param>
/// <param name="DataIn">Room for the data that goes back; it may be shorter than the CDB asks for, then only that much is filled.</param>
/// <param name="Aborted">Set when nobody waits for the answer any more.</param>
/// <param name="Sender">Who sent it, in the caller's terms: <see cref="DeviceServer.AttentionRaised"/> is told, so that the sender need not hear of what it did.</param>
public readonly record struct DeviceCommand(
    ReadOnlyMemory<byte> Cdb, DataBuffer DataOut, DataBuffer DataIn, CancellationToken Aborted, object? Sender = null);
