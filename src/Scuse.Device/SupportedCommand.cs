using Scuse.Scsi;

namespace Scuse.Device;

/// <summary>A command as REPORT SUPPORTED OPERATION CODES lists it. SPC-4 clause 6.35.</summary>
public sealed class SupportedCommand
{
    readonly byte[] _usage;

    /// <summary>A command without service actions.</summary>
    /// <param name="usage">
    /// The CDB usage data, as long as the CDB: its operation code, then a one in each bit that the device server looks at.
    /// </param>
    /// <exception cref="ArgumentException">The usage data is not as long as the operation code says.</exception>
    public SupportedCommand(ReadOnlySpan<byte> usage)
        : this(usage, null)
    {
    }

    /// <summary>A command that is told apart by its service action, or with null one that is not.</summary>
    /// <param name="usage">The CDB usage data; its byte 1 holds the service action where there is one.</param>
    /// <param name="serviceAction">The service action.</param>
    /// <exception cref="ArgumentException">The usage data is not as long as the operation code says.</exception>
    public SupportedCommand(ReadOnlySpan<byte> usage, byte? serviceAction)
    {
        if (usage.IsEmpty || usage.Length != Cdb.Length(usage[0]))
        {
            throw new ArgumentException($"{usage.Length} bytes of usage data do not fit the CDB they describe", nameof(usage));
        }

        _usage = usage.ToArray();
        ServiceAction = serviceAction;
    }

    /// <summary>The operation code.</summary>
    public byte Opcode => _usage[0];

    /// <summary>The service action, where the operation code has several.</summary>
    public byte? ServiceAction { get; }

    /// <summary>The CDB usage data.</summary>
    public ReadOnlySpan<byte> Usage => _usage;
}
