using Scuse.Linux;

namespace Scuse.Tcmu;

/// <summary>What a notice tells, or its answer: the commands of the family TCM-USER. linux/target_core_user.h, enum tcmu_genl_cmd.</summary>
enum TcmuCommand : byte
{
    /// <summary>A backstore was enabled.</summary>
    Added = 1,

    /// <summary>A backstore is about to go.</summary>
    Removed = 2,

    /// <summary>A backstore is to be otherwise.</summary>
    Reconfigure = 3,

    /// <summary>The answer to <see cref="Added"/>.</summary>
    AddedDone = 4,

    /// <summary>The answer to <see cref="Removed"/>.</summary>
    RemovedDone = 5,

    /// <summary>The answer to <see cref="Reconfigure"/>.</summary>
    ReconfigureDone = 6,
}

/// <summary>One notice of the kernel's about a user backstore. Generic netlink family TCM-USER, version 2, multicast group config.</summary>
sealed record TcmuNotice
{
    internal const string Family = "TCM-USER", Group = "config";

    const byte Version = 2;
    const ushort Device = 1, MinorNumber = 2, Configuration = 4, Size = 5, WriteCacheState = 6, CommandStatus = 7, Id = 8;

    /// <summary>What happens.</summary>
    internal required TcmuCommand Command { get; init; }

    /// <summary>Which backstore; null when its name is none.</summary>
    internal BackstoreName? Name { get; init; }

    /// <summary>The minor number of its UIO device.</summary>
    internal uint Minor { get; init; }

    /// <summary>What an answer is to call it; null from kernels that take no answers.</summary>
    internal uint? DeviceId { get; init; }

    /// <summary>The capacity in bytes that it is to have, if that is what changes.</summary>
    internal long? SizeBytes { get; init; }

    /// <summary>The configuration that it is to have, if that is what changes.</summary>
    internal string? NewConfiguration { get; init; }

    /// <summary>Whether it is to have a write cache, if that is what changes.</summary>
    internal bool? WriteCache { get; init; }

    /// <summary>Reads what follows a message's header; null when it is no notice.</summary>
    internal static TcmuNotice? Read(ReadOnlySpan<byte> body)
    {
        if (body.Length < NetlinkMessages.GenericHeaderBytes || (TcmuCommand)body[0] is not (TcmuCommand.Added or TcmuCommand.Removed or TcmuCommand.Reconfigure))
        {
            return null;
        }

        TcmuNotice notice = new() { Command = (TcmuCommand)body[0] };
        bool hasMinor = false;
        ReadOnlySpan<byte> rest = body[NetlinkMessages.GenericHeaderBytes..];
        while (NetlinkMessages.TryTakeAttribute(ref rest, out ushort type, out ReadOnlySpan<byte> value))
        {
            switch (type)
            {
                case Device:
                    notice = notice with { Name = BackstoreName.Parse(NetlinkMessages.ReadText(value)) };
                    break;
                case MinorNumber when value.Length >= sizeof(uint):
                    notice = notice with { Minor = NetlinkMessages.Read32(value) };
                    hasMinor = true;
                    break;
                case Configuration:
                    notice = notice with { NewConfiguration = NetlinkMessages.ReadText(value) };
                    break;
                case Size when value.Length >= sizeof(ulong):
                    notice = notice with { SizeBytes = (long)Math.Min(BitConverter.ToUInt64(value), long.MaxValue) };
                    break;
                case WriteCacheState when value.Length >= 1:
                    notice = notice with { WriteCache = value[0] != 0 };
                    break;
                case Id when value.Length >= sizeof(uint):
                    notice = notice with { DeviceId = NetlinkMessages.Read32(value) };
                    break;
            }
        }

        return hasMinor ? notice : null;
    }

    /// <summary>An answer for the kernel, which waits for it without an end.</summary>
    /// <param name="family">The family's number.</param>
    /// <param name="command">What was told.</param>
    /// <param name="deviceId">Of which backstore.</param>
    /// <param name="status">0, or a negative error number, which becomes that of whoever had it done.</param>
    internal static byte[] Answer(ushort family, TcmuCommand command, uint deviceId, int status)
    {
        NetlinkMessages.Writer message = new(family, sequence: 0, (byte)(command - TcmuCommand.Added + TcmuCommand.AddedDone), Version);
        message.Add(CommandStatus, (uint)status);
        message.Add(Id, deviceId);
        return message.ToBytes();
    }
}
