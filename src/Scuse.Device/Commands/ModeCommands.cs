using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>MODE SELECT(6) and (10), MODE SENSE(6) and (10). SPC-4 clauses 6.11 to 6.14.</summary>
static class ModeCommands
{
    const int FlagsOffset = 1;
    const int PageOffset = 2;
    const int SubpageOffset = 3;
    const byte Dbd = 0x08;
    const byte Llbaa = 0x10;

    const int Header6Length = ModeParameterList.Header6Length;
    const int Header10Length = ModeParameterList.Header10Length;

    public static ValueTask<ScsiResult> ModeSelect6(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command) =>
        Select(server, info, command, command.Cdb.Span[4], isTen: false);

    public static ValueTask<ScsiResult> ModeSelect10(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command) =>
        Select(server, info, command, BinaryPrimitives.ReadUInt16BigEndian(command.Cdb.Span[7..]), isTen: true);

    static ValueTask<ScsiResult> Select(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command, int listLength, bool isTen)
    {
        const byte pageFormat = 0x10, revertToDefaults = 0x02, savePages = 0x01;
        byte flags = command.Cdb.Span[FlagsOffset];
        bool save = (flags & savePages) != 0;
        if ((flags & (pageFormat | revertToDefaults)) != pageFormat || (save && !server.CanSave))
        {
            return ControlResponse.RefuseField(FlagsOffset);
        }

        if (listLength == 0 && !save)
        {
            return new(ScsiResult.Good);
        }

        // A copy: what is checked is what is done, even if the list lies in memory that another process can write.
        byte[] list = new byte[Math.Min(listLength, command.DataOut.Length)];
        command.DataOut.CopyTo(list);
        return SelectAsync(server, info, listLength == 0 ? null : list, isTen, save, command.Sender, command.Aborted);
    }

    // Null is no list at all, which changes nothing.
    static async ValueTask<ScsiResult> SelectAsync(
        DeviceServer server, BlockDeviceInfo info, byte[]? list, bool isTen, bool save, object? sender, CancellationToken aborted)
    {
        await server.Changes.TakeAsync().ConfigureAwait(false);
        try
        {
            ModeParameters before = server.Mode, after = before;
            if (list is not null && !ModePages.TryApply(list, isTen, DeviceOf(server, info), before, out after, out SenseData refusal))
            {
                return ScsiResult.Check(refusal);
            }

            if (before.WriteCache && !after.WriteCache)
            {
                server.Mode = before with { WriteCache = false }; // writes from now on are durable one by one; what was written before is made so
                ScsiResult flushed = await server.Device.FlushAsync(aborted).ConfigureAwait(false);
                if (!flushed.IsGood)
                {
                    server.Mode = before;
                    return flushed;
                }
            }

            if (save && !await server.SaveAsync(server.Saved with { Mode = after }).ConfigureAwait(false))
            {
                server.Mode = before;
                return ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure);
            }

            server.Mode = after;
            if (after != before)
            {
                server.RaiseAttention(AdditionalSense.ModeParametersChanged, sender);
            }

            return ScsiResult.Good;
        }
        finally
        {
            server.Changes.End();
        }
    }

    public static ValueTask<ScsiResult> ModeSense6(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        Span<byte> data = stackalloc byte[ControlResponse.MaxLength];
        data.Clear();
        int descriptorLength = (cdb[FlagsOffset] & Dbd) != 0 ? 0 : WriteShortDescriptor(data[Header6Length..], info);
        int pagesOffset = Header6Length + descriptorLength;
        if (!TryWritePages(data[pagesOffset..], cdb, server, info, out int pagesLength, out SenseData refusal))
        {
            return ControlResponse.Refuse(refusal);
        }

        // Mode parameter header(6). SPC-4 clause 7.5.5. The lengths do not count themselves.
        int length = pagesOffset + pagesLength;
        data[0] = (byte)(length - 1);
        data[2] = DeviceSpecificParameter(server, info);
        data[3] = (byte)descriptorLength;
        return ControlResponse.Send(command, data[..length], cdb[4]);
    }

    public static ValueTask<ScsiResult> ModeSense10(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        Span<byte> data = stackalloc byte[ControlResponse.MaxLength];
        data.Clear();
        bool isLong = (cdb[FlagsOffset] & Llbaa) != 0;
        int descriptorLength = 0;
        if ((cdb[FlagsOffset] & Dbd) == 0)
        {
            descriptorLength = isLong ? WriteLongDescriptor(data[Header10Length..], info) : WriteShortDescriptor(data[Header10Length..], info);
        }

        int pagesOffset = Header10Length + descriptorLength;
        if (!TryWritePages(data[pagesOffset..], cdb, server, info, out int pagesLength, out SenseData refusal))
        {
            return ControlResponse.Refuse(refusal);
        }

        // Mode parameter header(10). SPC-4 clause 7.5.5.
        int length = pagesOffset + pagesLength;
        BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)(length - 2));
        data[3] = DeviceSpecificParameter(server, info);
        data[4] = isLong && descriptorLength != 0 ? ModeParameterList.LongLba : (byte)0;
        BinaryPrimitives.WriteUInt16BigEndian(data[6..], (ushort)descriptorLength);
        return ControlResponse.Send(command, data[..length], BinaryPrimitives.ReadUInt16BigEndian(cdb[7..]));
    }

    static bool TryWritePages(Span<byte> pages, ReadOnlySpan<byte> cdb, DeviceServer server, BlockDeviceInfo info, out int length, out SenseData refusal)
    {
        const int pageControlShift = 6;
        const byte pageCodeMask = 0x3F;
        length = 0;
        var control = (ModePageControl)(cdb[PageOffset] >> pageControlShift);
        if (control == ModePageControl.Saved && !server.CanSave)
        {
            refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.SavingParametersNotSupported);
            return false;
        }

        ModeParameters parameters = control switch
        {
            ModePageControl.Default => ModeParameters.Default,
            ModePageControl.Saved => server.SavedMode,
            _ => server.Mode,
        };
        byte code = (byte)(cdb[PageOffset] & pageCodeMask), subpage = cdb[SubpageOffset];
        ModeDevice device = DeviceOf(server, info);
        bool isOneOfAll = code == ModePage.All && subpage is not (ModePage.NoSubpage or ModePage.AllSubpages); // which is reserved
        length = isOneOfAll ? 0 : ModePages.Write(pages, code, subpage, control, parameters, device);
        bool hasCode = length == 0 && (isOneOfAll || ModePages.Write(pages, code, ModePage.NoSubpage, control, parameters, device) > 0);
        refusal = length == 0 ? SenseData.InvalidFieldInCdb(hasCode ? SubpageOffset : PageOffset) : default;
        return length != 0;
    }

    static ModeDevice DeviceOf(DeviceServer server, BlockDeviceInfo info) => new(info, server.CanSave, server.HasResources(info));

    // DEVICE-SPECIFIC PARAMETER of a direct access device. SBC-3 clause 6.5.1.
    static byte DeviceSpecificParameter(DeviceServer server, BlockDeviceInfo info)
    {
        const byte wp = 0x80, dpoFua = 0x10;
        return (byte)(dpoFua | (info.Has(BlockDeviceFeatures.ReadOnly) || server.Control.SoftwareWriteProtect ? wp : 0));
    }

    // SBC-3 clause 6.5.2.2.
    public static int WriteShortDescriptor(Span<byte> descriptor, BlockDeviceInfo info)
    {
        BinaryPrimitives.WriteUInt32BigEndian(descriptor, (uint)Math.Min(info.BlockCount, uint.MaxValue));
        BinaryPrimitives.WriteUInt32BigEndian(descriptor[4..], (uint)info.BlockSize); // 24 bits; the byte before them is reserved
        return ModeParameterList.ShortDescriptorLength;
    }

    // SBC-3 clause 6.5.2.3.
    public static int WriteLongDescriptor(Span<byte> descriptor, BlockDeviceInfo info)
    {
        BinaryPrimitives.WriteUInt64BigEndian(descriptor, info.BlockCount);
        BinaryPrimitives.WriteUInt32BigEndian(descriptor[12..], (uint)info.BlockSize);
        return ModeParameterList.LongDescriptorLength;
    }
}
