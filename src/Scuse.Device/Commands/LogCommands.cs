using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Device.Commands;

/// <summary>LOG SELECT and LOG SENSE, and the log pages there are. SPC-4 clauses 6.7, 6.8 and 7.3.</summary>
static class LogCommands
{
    const int FlagsOffset = 1, PageOffset = 2, SubpageOffset = 3, ParameterPointerOffset = 5, LengthOffset = 7;
    const int PageControlShift = 6;
    const byte PageCodeMask = 0x3F, SaveParameters = 0x01;

    const int HeaderLength = 4, ParameterHeaderLength = 4;

    // DS and SPF in byte 0 of a page; FORMAT AND LINKING 11b, a binary list, and TSD in the control byte of a parameter: nothing is saved.
    const byte DisableSave = 0x80, SubpageFormat = 0x40, UnsavedBinaryList = 0x23;

    /// <summary>In ascending order; each without subpages.</summary>
    static ReadOnlySpan<byte> Supported(DeviceServer server, BlockDeviceInfo info) => server.HasResources(info)
        ? [LogPage.SupportedPages, LogPage.LogicalBlockProvisioning, LogPage.GeneralStatistics, LogPage.InformationalExceptions]
        : [LogPage.SupportedPages, LogPage.GeneralStatistics, LogPage.InformationalExceptions];

    public static ValueTask<ScsiResult> LogSense(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const byte parameterPointerControl = 0x02;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        if ((cdb[FlagsOffset] & (parameterPointerControl | SaveParameters)) != 0)
        {
            return ControlResponse.RefuseField(FlagsOffset); // PPC is obsolete, and nothing can be saved
        }

        // PC makes no difference: lists have neither thresholds nor default values. SPC-4 clause 7.3.2.2.2.
        byte code = (byte)(cdb[PageOffset] & PageCodeMask), subpage = cdb[SubpageOffset];
        if (!Supported(server, info).Contains(code))
        {
            return ControlResponse.RefuseField(PageOffset);
        }

        if (subpage != LogPage.NoSubpage && (code != LogPage.SupportedPages || subpage != LogPage.AllSubpages))
        {
            return ControlResponse.RefuseField(SubpageOffset);
        }

        ushort pointer = ReadUInt16BigEndian(cdb[ParameterPointerOffset..]);
        if (code == LogPage.LogicalBlockProvisioning)
        {
            return pointer > ThresholdSets.Used ? ControlResponse.RefuseField(ParameterPointerOffset) : SendProvisioningAsync(server.Device, pointer, command);
        }

        Span<byte> page = stackalloc byte[ControlResponse.MaxLength];
        page.Clear();
        Span<byte> body = page[HeaderLength..];
        int bodyLength = code switch
        {
            LogPage.GeneralStatistics => WriteGeneralStatistics(body, pointer, server.Statistics, info),
            LogPage.InformationalExceptions => WriteInformationalExceptions(body, pointer),
            _ => WriteSupported(body, Supported(server, info), withSubpages: subpage == LogPage.AllSubpages),
        };
        return bodyLength == 0
            ? ControlResponse.RefuseField(ParameterPointerOffset) // beyond the last parameter
            : Send(page, code, subpage, bodyLength, command);
    }

    static ValueTask<ScsiResult> Send(Span<byte> page, byte code, byte subpage, int bodyLength, in DeviceCommand command)
    {
        page[0] = (byte)(code | (subpage != LogPage.NoSubpage ? SubpageFormat : 0) | (code != LogPage.SupportedPages ? DisableSave : 0));
        page[1] = subpage;
        WriteUInt16BigEndian(page[2..], (ushort)bodyLength);
        return ControlResponse.Send(command, page[..(HeaderLength + bodyLength)], ReadUInt16BigEndian(command.Cdb.Span[LengthOffset..]));
    }

    // SBC-5 clause 6.4.5. A device that cannot tell this time fails the command rather than say that there is nothing.
    static async ValueTask<ScsiResult> SendProvisioningAsync(IBlockDevice device, ushort pointer, DeviceCommand command)
    {
        if (await device.GetResourcesAsync(command.Aborted).ConfigureAwait(false) is not { } resources)
        {
            return ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure);
        }

        byte[] page = new byte[HeaderLength + (2 * ThresholdSets.ParameterLength)];
        int at = HeaderLength;
        if (pointer <= ThresholdSets.Available)
        {
            ThresholdSets.Write(page.AsSpan(at), ThresholdSets.Available, resources);
            at += ThresholdSets.ParameterLength;
        }

        ThresholdSets.Write(page.AsSpan(at), ThresholdSets.Used, resources);
        return await Send(page, LogPage.LogicalBlockProvisioning, LogPage.NoSubpage, at + ThresholdSets.ParameterLength - HeaderLength, command).ConfigureAwait(false);
    }

    public static ValueTask<ScsiResult> LogSelect(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const byte parameterCodeReset = 0x02;
        const int defaultCumulative = 3;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        bool resets = (cdb[FlagsOffset] & parameterCodeReset) != 0;
        int listLength = ReadUInt16BigEndian(cdb[LengthOffset..]);
        if ((cdb[FlagsOffset] & SaveParameters) != 0)
        {
            return ControlResponse.RefuseField(FlagsOffset);
        }

        byte code = (byte)(cdb[PageOffset] & PageCodeMask);
        if (!Supported(server, info).Contains(code))
        {
            return ControlResponse.RefuseField(PageOffset);
        }

        if (cdb[SubpageOffset] != LogPage.NoSubpage)
        {
            return ControlResponse.RefuseField(SubpageOffset);
        }

        if (listLength != 0)
        {
            // With PCR there must be no list; and no parameter can be given a value.
            return resets ? ControlResponse.RefuseField(LengthOffset)
                : Math.Min(listLength, command.DataOut.Length) < HeaderLength ? ControlResponse.Refuse(new SenseData(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError))
                : ControlResponse.Refuse(SenseData.InvalidFieldInParameterList(0));
        }

        // The code of all pages is that of the list of them. SPC-4 table 166.
        bool isForStatistics = code is LogPage.SupportedPages or LogPage.GeneralStatistics;
        if (isForStatistics && (resets || cdb[PageOffset] >> PageControlShift == defaultCumulative))
        {
            server.Statistics.Reset();
            server.RaiseAttention(AdditionalSense.LogParametersChanged, command.Sender);
        }

        return new(ScsiResult.Good);
    }

    // SPC-4 clauses 7.3.16 and 7.3.17.
    static int WriteSupported(Span<byte> body, ReadOnlySpan<byte> supported, bool withSubpages)
    {
        if (!withSubpages)
        {
            supported.CopyTo(body);
            return supported.Length;
        }

        int at = 0;
        foreach (byte code in supported)
        {
            body[at] = code;
            at += 2;
            if (code == LogPage.SupportedPages)
            {
                body[at] = code;
                body[at + 1] = LogPage.AllSubpages;
                at += 2;
            }
        }

        return at;
    }

    // General Access Statistics and Performance, Idle Time, Time Interval. SPC-4 clause 7.3.9. How long commands take is not measured, which the time interval of zero
    // says: it is what all counts of intervals are to be multiplied by.
    static int WriteGeneralStatistics(Span<byte> body, ushort pointer, IoStatistics statistics, BlockDeviceInfo info)
    {
        const ushort accesses = 0x0001, idleTime = 0x0002, timeInterval = 0x0003;
        const int accessesLength = 64, idleTimeLength = 8, timeIntervalLength = 8;
        int at = 0;
        if (pointer <= accesses)
        {
            Span<byte> value = BeginParameter(body, accesses, accessesLength);
            WriteInt64BigEndian(value, statistics.Reads);
            WriteInt64BigEndian(value[8..], statistics.Writes);
            WriteInt64BigEndian(value[16..], statistics.WrittenBytes / info.BlockSize); // NUMBER OF LOGICAL BLOCKS RECEIVED
            WriteInt64BigEndian(value[24..], statistics.ReadBytes / info.BlockSize); // NUMBER OF LOGICAL BLOCKS TRANSMITTED
            at += ParameterHeaderLength + accessesLength;
        }

        if (pointer <= idleTime)
        {
            BeginParameter(body[at..], idleTime, idleTimeLength);
            at += ParameterHeaderLength + idleTimeLength;
        }

        if (pointer <= timeInterval)
        {
            BeginParameter(body[at..], timeInterval, timeIntervalLength);
            at += ParameterHeaderLength + timeIntervalLength;
        }

        return at;
    }

    // Informational Exceptions General: none is pending, and there is no thermometer. SPC-4 clause 7.3.10.2.
    static int WriteInformationalExceptions(Span<byte> body, ushort pointer)
    {
        const ushort parameterCode = 0x0000;
        const int valueLength = 4;
        const byte noTemperature = 0xFF;
        if (pointer > parameterCode)
        {
            return 0;
        }

        BeginParameter(body, parameterCode, valueLength)[2..].Fill(noTemperature); // the last byte is vendor specific; decoders take it for a threshold
        return ParameterHeaderLength + valueLength;
    }

    static Span<byte> BeginParameter(Span<byte> parameter, ushort code, int valueLength)
    {
        WriteUInt16BigEndian(parameter, code);
        parameter[2] = UnsavedBinaryList;
        parameter[3] = (byte)valueLength;
        return parameter.Slice(ParameterHeaderLength, valueLength);
    }
}
