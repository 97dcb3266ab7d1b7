using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>SANITIZE. SBC-3 clauses 4.11 and 5.24.</summary>
/// <remarks>CRYPTOGRAPHIC ERASE is not among the service actions: no device says of itself that it encrypts.</remarks>
static class SanitizeCommands
{
    const int FlagsOffset = 1, ParameterListLengthOffset = 7;
    const byte Immed = 0x80, Ause = 0x20, ReservedFlag = 0x40;

    public static ValueTask<ScsiResult> Overwrite(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int headerLength = 4, patternLengthOffset = 2;
        const byte invert = 0x80, test = 0x60, countMask = 0x1F;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        int length = BinaryPrimitives.ReadUInt16BigEndian(cdb[ParameterListLengthOffset..]);
        if (FindReserved(cdb) is { } wrong)
        {
            return ControlResponse.RefuseField(wrong);
        }

        if (length <= headerLength || length > headerLength + info.BlockSize)
        {
            return ControlResponse.RefuseField(ParameterListLengthOffset);
        }

        if (command.DataOut.Length < length)
        {
            return ControlResponse.Refuse(new SenseData(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError));
        }

        byte[] list = command.DataOut.Slice(0, length).ToArray();
        int count = list[0] & countMask;
        int patternLength = BinaryPrimitives.ReadUInt16BigEndian(list.AsSpan(patternLengthOffset));
        if ((list[0] & test) != 0)
        {
            return ControlResponse.Refuse(SenseData.InvalidFieldInParameterList(0)); // vendor specific patterns
        }

        // SBC-3 has INVALID FIELD IN PARAMETER LIST for these; what initiators' tests know is INVALID FIELD IN CDB, and a list that is not as long as the CDB says is that too.
        if (count == 0 || patternLength == 0 || headerLength + patternLength > length)
        {
            return ControlResponse.RefuseField(ParameterListLengthOffset);
        }

        byte[] block = PatternBlock.Repeat(list.AsSpan(headerLength, patternLength), info.BlockSize);
        byte[] inverted = (list[0] & invert) != 0 ? PatternBlock.Invert(block) : block;

        // Pass by pass in turn, so that the last one leaves the pattern as it was sent. SBC-3 clause 5.24.2.2.
        var passes = new byte[]?[count];
        for (int pass = 0; pass < count; pass++)
        {
            passes[pass] = (count - pass) % 2 == 1 ? block : inverted;
        }

        return Begin(server, passes, command);
    }

    public static ValueTask<ScsiResult> BlockErase(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command) =>
        FindReservedOrList(command.Cdb.Span) is { } wrong ? ControlResponse.RefuseField(wrong) : Begin(server, [null], command);

    // Where nothing has failed there is nothing to leave, which is no error. SBC-3 clause 5.24.5.
    public static ValueTask<ScsiResult> ExitFailureMode(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        if (FindReservedOrList(command.Cdb.Span) is { } wrong)
        {
            return ControlResponse.RefuseField(wrong);
        }

        switch (server.MediumWork?.Kind)
        {
            case MediumWorkKind.RestrictedSanitize:
                return ControlResponse.RefuseField(FlagsOffset);
            case MediumWorkKind.UnrestrictedSanitize:
                return ForgetAsync(server);
        }

        return new(ScsiResult.Good);
    }

    static async ValueTask<ScsiResult> ForgetAsync(DeviceServer server) =>
        await server.ForgetMediumWorkAsync().ConfigureAwait(false)
            ? ScsiResult.Good
            : ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure);

    static ValueTask<ScsiResult> Begin(DeviceServer server, IReadOnlyList<byte[]?> passes, in DeviceCommand command)
    {
        byte flags = command.Cdb.Span[FlagsOffset];
        bool isUnrestricted = (flags & Ause) != 0;
        if (isUnrestricted && server.MediumWork is { Kind: MediumWorkKind.RestrictedSanitize })
        {
            return ControlResponse.RefuseField(FlagsOffset); // only a restricted one gets out of a restricted one. SBC-3 clause 4.11.3
        }

        var work = new MediumWork(server.Device, isUnrestricted ? MediumWorkKind.UnrestrictedSanitize : MediumWorkKind.RestrictedSanitize, passes);
        return server.Begin(work, (flags & Immed) != 0, command.Aborted);
    }

    static int? FindReserved(ReadOnlySpan<byte> cdb)
    {
        if ((cdb[FlagsOffset] & ReservedFlag) != 0)
        {
            return FlagsOffset; // ZNR, of zoned devices. SBC-4
        }

        int at = cdb[2..ParameterListLengthOffset].IndexOfAnyExcept((byte)0);
        return at < 0 ? null : at + 2;
    }

    static int? FindReservedOrList(ReadOnlySpan<byte> cdb) =>
        FindReserved(cdb) ?? (BinaryPrimitives.ReadUInt16BigEndian(cdb[ParameterListLengthOffset..]) != 0 ? ParameterListLengthOffset : null);
}
