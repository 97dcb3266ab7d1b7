using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Scuse.Linux;

namespace Scuse.Tcmu;

/// <summary>A user backstore as configfs shows it: <c>/sys/kernel/config/target/core/user_HBA/DEVICE</c>. What a kernel can do is told by which files there are.</summary>
/// <param name="core">The folder of all of them.</param>
/// <param name="name">Which one.</param>
sealed class BackstoreFolder(string core, BackstoreName name)
{
    internal const string WellKnownCore = "/sys/kernel/config/target/core";
    const string MachineIdFile = "/etc/machine-id";
    const string SerialLabel = "Unit Serial Number:";
    const string BlockFile = "action/block_dev", ResetFile = "action/reset_ring", FreeKeptFile = "action/free_kept_buf", SizeFile = "attrib/dev_size";

    /// <summary>What <see cref="ResetRing"/> has commands end in that were not answered: BUSY, which initiators repeat.</summary>
    const string ResetWithBusy = "1";

    readonly string _path = Path.Combine(core, name.Path);

    /// <summary>Whether new commands can be held back: kernels before 4.19 cannot.</summary>
    internal bool CanBlock => Has(BlockFile);

    /// <summary>Whether the ring can be emptied.</summary>
    internal bool CanReset => CanBlock && Has(ResetFile);

    /// <summary>Whether the buffers of answered commands can be kept, and given back.</summary>
    internal bool CanFreeKept => Has(FreeKeptFile);

    /// <summary>The capacity in bytes that it was given; 0 when that cannot be read.</summary>
    internal long ReadSizeBytes() => ReadNumber(SizeFile) ?? 0;

    /// <summary>The logical block length in bytes that it was given; 0 when that cannot be read.</summary>
    internal int ReadBlockSize() => (int)(ReadNumber("attrib/hw_block_size") ?? 0);

    /// <summary>Whether the kernel waits for an answer to each of its notices; null when that cannot be read.</summary>
    internal bool? ReadRepliesInForce() => ReadNumber("attrib/nl_reply_supported") is { } value ? value > 0 : null;

    /// <summary>What notices and their answers call the device; null when that cannot be read.</summary>
    internal uint? ReadDeviceId() => ReadNumber("statistics/scsi_dev/indx") is { } index and >= 0 and <= uint.MaxValue ? (uint)index : null;

    /// <summary>Whether it is enabled. While the kernel waits for the answer to ADDED it is not yet.</summary>
    internal bool? ReadIsEnabled() => ReadNumber("enable") is { } value ? value != 0 : null;

    /// <summary>
    /// The unit serial number that initiators are to see. Where the operator has set none, it is made of the machine's id and the backstore's name: two machines must not have the same, since
    /// initiators would take their disks for one.
    /// </summary>
    internal string ReadSerial(string machineIdFile = MachineIdFile)
    {
        if (Read("wwn/vpd_unit_serial") is { } text && text.IndexOf(SerialLabel, StringComparison.Ordinal) is int at and >= 0 && text[(at + SerialLabel.Length)..].Trim() is { Length: > 0 } serial)
        {
            return serial;
        }

        string machine;
        try
        {
            machine = File.ReadAllText(machineIdFile).Trim();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            machine = Environment.MachineName;
        }

        const int digits = 32;
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{machine}\n{name.Path}")))[..digits];
    }

    /// <summary>Holds new commands back, or lets them through. False when the kernel refuses.</summary>
    internal bool Block(bool isBlocked) => TryWrite(BlockFile, isBlocked ? "1" : "0");

    /// <summary>Empties the ring: commands that were not answered end in BUSY, and those that had expired are forgotten. New commands must be held back. False when the kernel refuses.</summary>
    internal bool ResetRing() => TryWrite(ResetFile, ResetWithBusy);

    /// <summary>Gives the kept buffers of one command back. False when the kernel refuses.</summary>
    internal bool FreeKept(ushort id) => TryWrite(FreeKeptFile, id.ToString(CultureInfo.InvariantCulture));

    /// <summary>Has the kernel know another capacity. False when it refuses.</summary>
    internal bool SetSizeBytes(long sizeBytes) => TryWrite(SizeFile, sizeBytes.ToString(CultureInfo.InvariantCulture));

    bool Has(string file) => File.Exists(Path.Combine(_path, file));

    long? ReadNumber(string file) => long.TryParse(Read(file), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number : null;

    string? Read(string file)
    {
        try
        {
            return File.ReadAllText(Path.Combine(_path, file)).Trim();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    bool TryWrite(string file, string text)
    {
        try
        {
            // One call, without making or cutting a file.
            using FileStream stream = new(Path.Combine(_path, file), new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Write, Share = FileShare.ReadWrite, BufferSize = 0 });
            stream.Write(Encoding.UTF8.GetBytes(text));
            return true;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
