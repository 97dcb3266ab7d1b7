using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>REPORT SUPPORTED OPERATION CODES. SPC-4 clause 6.35.</summary>
static class SupportedCommandsReport
{
    const int OptionsOffset = 2;
    const int OpcodeOffset = 3;
    const int ServiceActionOffset = 4;
    const int AllocationLengthOffset = 6;

    // REPORTING OPTIONS.
    const int AllCommands = 0;
    const int OneWithoutServiceActions = 1;
    const int OneWithServiceAction = 2;
    const int OneEitherWay = 3;

    const int TimeoutsLength = 12;

    public static ValueTask<ScsiResult> Report(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const byte rctd = 0x80, optionsMask = 0x07;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        bool withTimeouts = (cdb[OptionsOffset] & rctd) != 0;
        int options = cdb[OptionsOffset] & optionsMask;
        uint allocationLength = BinaryPrimitives.ReadUInt32BigEndian(cdb[AllocationLengthOffset..]);
        Span<byte> data = stackalloc byte[ControlResponse.MaxLength];
        data.Clear();
        int length;
        if (options == AllCommands)
        {
            length = WriteAll(data, server, info, withTimeouts);
        }
        else if (options <= OneEitherWay)
        {
            ushort serviceAction = BinaryPrimitives.ReadUInt16BigEndian(cdb[ServiceActionOffset..]);
            if (!TryFind(server, info, options, cdb[OpcodeOffset], serviceAction, out SupportedCommand? found, out uint recommendedSeconds))
            {
                return ControlResponse.RefuseField(OptionsOffset);
            }

            length = WriteOne(data, found, withTimeouts, recommendedSeconds);
        }
        else
        {
            return ControlResponse.RefuseField(OptionsOffset);
        }

        return ControlResponse.Send(command, data[..length], allocationLength);
    }

    // All_commands parameter data: COMMAND DATA LENGTH, then a descriptor each. SPC-4 clause 6.35.2.
    static int WriteAll(Span<byte> data, DeviceServer server, BlockDeviceInfo info, bool withTimeouts)
    {
        const int headerLength = 4;
        int at = headerLength;
        foreach (CommandEntry entry in CommandTable.Entries)
        {
            if (entry.ExistsIn(server, info))
            {
                at += WriteDescriptor(data[at..], entry.Command, withTimeouts, RecommendedSeconds(server, entry.Needs));
            }
        }

        foreach (SupportedCommand other in server.TargetCommands)
        {
            at += WriteDescriptor(data[at..], other, withTimeouts, RecommendedSeconds(server, other));
        }

        BinaryPrimitives.WriteInt32BigEndian(data, at - headerLength);
        return at;
    }

    static int WriteDescriptor(Span<byte> descriptor, SupportedCommand command, bool withTimeouts, uint recommendedSeconds)
    {
        const int length = 8;
        const byte servActV = 0x01, ctdp = 0x02;
        descriptor[0] = command.Opcode;
        BinaryPrimitives.WriteUInt16BigEndian(descriptor[2..], command.ServiceAction ?? 0);
        descriptor[5] = (byte)((command.ServiceAction is null ? 0 : servActV) | (withTimeouts ? ctdp : 0));
        BinaryPrimitives.WriteUInt16BigEndian(descriptor[6..], (ushort)command.Usage.Length);
        return length + (withTimeouts ? WriteTimeouts(descriptor[length..], recommendedSeconds) : 0);
    }

    // One_command parameter data. SPC-4 clause 6.35.3.
    static int WriteOne(Span<byte> data, SupportedCommand? command, bool withTimeouts, uint recommendedSeconds)
    {
        const int headerLength = 4;
        const byte notSupported = 0x01, asStandard = 0x03, ctdp = 0x80;
        if (command is null)
        {
            data[1] = notSupported;
            return headerLength;
        }

        data[1] = (byte)(asStandard | (withTimeouts ? ctdp : 0));
        ReadOnlySpan<byte> usage = command.Usage;
        BinaryPrimitives.WriteUInt16BigEndian(data[2..], (ushort)usage.Length);
        usage.CopyTo(data[headerLength..]);
        int length = headerLength + usage.Length;
        return length + (withTimeouts ? WriteTimeouts(data[length..], recommendedSeconds) : 0);
    }

    // Command timeouts descriptor. How long a command takes as a rule depends on what is behind the device; when it has failed at the latest the caller may know. SPC-4 clause 6.35.4.
    static int WriteTimeouts(Span<byte> descriptor, uint recommendedSeconds)
    {
        const int recommendedOffset = 8;
        BinaryPrimitives.WriteUInt16BigEndian(descriptor, TimeoutsLength - sizeof(ushort));
        BinaryPrimitives.WriteUInt32BigEndian(descriptor[recommendedOffset..], recommendedSeconds); // RECOMMENDED COMMAND TIMEOUT
        return TimeoutsLength;
    }

    // The limit counts while the device is at work; what it cannot know of is the way of the data. 0: not indicated.
    static uint RecommendedSeconds(DeviceServer server, CommandNeeds needs)
    {
        const uint marginSeconds = 15;
        bool isLimited = server.CommandLimitSeconds != 0 && (needs & (CommandNeeds.StartsMediumWork | CommandNeeds.TakesLong)) == 0;
        return isLimited ? server.CommandLimitSeconds + marginSeconds : 0;
    }

    static uint RecommendedSeconds(DeviceServer server, SupportedCommand ofTheTarget) =>
        RecommendedSeconds(server, ofTheTarget.Opcode == OperationCode.ThirdPartyCopyOut ? CommandNeeds.TakesLong : CommandNeeds.None);

    // False when the reporting option does not fit the operation code; true with null when there is no such command. SPC-4 table 243.
    static bool TryFind(DeviceServer server, BlockDeviceInfo info, int options, byte opcode, ushort serviceAction, out SupportedCommand? found, out uint recommendedSeconds)
    {
        found = null;
        recommendedSeconds = 0;
        bool isKnown = false, hasServiceActions = false;
        foreach (CommandEntry entry in CommandTable.Entries)
        {
            if (entry.ExistsIn(server, info))
            {
                Consider(entry.Command, RecommendedSeconds(server, entry.Needs), ref found, ref recommendedSeconds);
            }
        }

        foreach (SupportedCommand other in server.TargetCommands)
        {
            Consider(other, RecommendedSeconds(server, other), ref found, ref recommendedSeconds);
        }

        return !isKnown
            || options == OneEitherWay
            || hasServiceActions == (options == OneWithServiceAction);

        void Consider(SupportedCommand command, uint seconds, ref SupportedCommand? match, ref uint secondsOfMatch)
        {
            if (command.Opcode != opcode)
            {
                return;
            }

            isKnown = true;
            hasServiceActions |= command.ServiceAction is not null;
            bool matches = options == OneWithoutServiceActions || (command.ServiceAction ?? 0) == serviceAction;
            if (match is null && matches)
            {
                (match, secondsOfMatch) = (command, seconds);
            }
        }
    }
}
