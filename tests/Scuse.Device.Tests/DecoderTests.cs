using System.Diagnostics;
using Scuse.Scsi;

namespace Scuse.Device.Tests;

/// <summary>What other people's decoders make of the device server's parameter data: they understand all of it and complain of nothing.</summary>
public sealed class DecoderTests : IDisposable
{
    readonly string _file = Path.Combine(Path.GetTempPath(), $"scuse-decoded-{Guid.NewGuid():N}");

    public void Dispose() => File.Delete(_file);

    /// <summary>Designators of a port and its group, as a target adds them.</summary>
    static readonly byte[] s_portDesignators =
    [
        .. Unit.Hex("51 94 00 04 0000 0001"), .. Unit.Hex("51 95 00 04 0000 0001"),
        .. Unit.Hex("53 98 00 18"), .. "iqn.2026-11.example:t,t,"u8.ToArray()[..24],
    ];

    static readonly string[] s_kinds = ["thin", "thick", "large blocks", "read-only"];

    static readonly byte[] s_pages = [0x00, 0x80, 0x83, 0x86, 0xB0, 0xB1, 0xB2];

    static Unit Disk(string kind)
    {
        var unit = kind switch
        {
            "thin" => Unit.WithResources(),
            "thick" => new Unit(BlockDeviceFeatures.Flush),
            "large blocks" => new Unit(blockSize: 4096),
            _ => new Unit(BlockDeviceFeatures.ReadOnly),
        };
        unit.Device.Info = unit.Device.Info with { AtomicWriteBytes = kind == "thick" ? 65536 : 0 };
        unit.Server.TargetPortDesignators = s_portDesignators;
        unit.Server.Store = new MemoryStore();
        unit.Server.TimeSource = TimeProvider.System;
        return unit;
    }

    public static TheoryData<string, byte> EveryVpdPageOfEveryKind => new(
        from kind in s_kinds
        from page in s_pages
        select (kind, page));

    [Theory]
    [MemberData(nameof(EveryVpdPageOfEveryKind))]
    public async Task Every_VPD_page_is_understood(string kind, byte page)
    {
        string text = await DecodeAsync("sg_vpd", (await Disk(kind).Do([0x12, 0x01, page, 0x10, 0x00, 0x00])).AssertGood().Data, $"--page=0x{page:x2}", "--long");

        Assert.Contains("Peripheral device type: disk", text, StringComparison.Ordinal);
        Assert.DoesNotMatch(Complaint, text);
    }

    [Fact]
    public async Task What_the_VPD_pages_say_is_what_was_meant()
    {
        Unit disk = Disk("thin");
        async Task<string> Page(byte page) => await DecodeAsync("sg_vpd", (await disk.Do([0x12, 0x01, page, 0x10, 0x00, 0x00])).Data, $"--page=0x{page:x2}", "--long");

        Assert.Contains("Unit serial number: SN-0001", await Page(0x80), StringComparison.Ordinal);
        string names = await Page(0x83);
        Assert.Contains("NAA 3, Locally assigned", names, StringComparison.Ordinal);
        Assert.Contains("Target port group: 0x1", names, StringComparison.Ordinal);
        Assert.Contains("V_SUP=1", await Page(0x86), StringComparison.Ordinal);
        string limits = await Page(0xB0);
        Assert.Contains("Maximum compare and write length: 128 blocks", limits, StringComparison.Ordinal);
        Assert.Contains("Maximum unmap LBA count: 1048576", limits, StringComparison.Ordinal);
        Assert.Contains("Non-rotating medium", await Page(0xB1), StringComparison.Ordinal);
        string provisioning = await Page(0xB2);
        Assert.Contains("Provisioning type: 2 (thin provisioned)", provisioning, StringComparison.Ordinal);
        Assert.Contains("Threshold exponent: 11", provisioning, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Standard_inquiry_data_is_understood_with_its_version_descriptors()
    {
        string text = await DecodeAsync("sg_inq", (await Disk("thin").Do("12 00 00 10 00 00")).AssertGood().Data, "--descriptors");

        Assert.Contains("[SPC-4]", text, StringComparison.Ordinal);
        Assert.Contains("length=96 (0x60)   Peripheral device type: disk", text, StringComparison.Ordinal);
        Assert.Matches(@"(?s)SAM-5 \(no version claimed\).*SPC-4 \(no version claimed\).*SBC-3 \(no version claimed\).*iSCSI \(no version claimed\)", text);
        Assert.DoesNotMatch(Complaint, text);
    }

    [Theory]
    [InlineData("4D 00 40 00 00 00 00 10 00 00", "Supported log pages  [0x0]")]
    [InlineData("4D 00 40 FF 00 00 00 10 00 00", "0x00,0xff   Supported log pages and subpages")]
    [InlineData("4D 00 4C 00 00 00 00 10 00 00", "Available LBA mapping threshold")]
    [InlineData("4D 00 59 00 00 00 00 10 00 00", "number of read commands = 1")]
    [InlineData("4D 00 6F 00 00 00 00 10 00 00", "IE asc = 0x0, ascq = 0x0")]
    public async Task Every_log_page_is_understood(string cdb, string says)
    {
        Unit disk = Disk("thin");
        (await disk.Do("28 00 00 00 00 00 00 00 03 00")).AssertGood();

        string text = await DecodeAsync("sg_logs", (await disk.Do(cdb)).AssertGood().Data);

        Assert.Contains(says, text, StringComparison.Ordinal);
        Assert.DoesNotMatch(Complaint, text);
    }

    [Theory]
    [InlineData("5A 00 3F 00 00 00 00 10 00 00")] // current values
    [InlineData("5A 00 BF 00 00 00 00 10 00 00")] // default values
    [InlineData("5A 00 FF 00 00 00 00 10 00 00")] // saved values
    [InlineData("5A 10 3F FF 00 00 00 10 00 00")] // with a long block descriptor
    public async Task The_mode_pages_are_understood(string cdb)
    {
        string text = await DecodeAsync("sdparm", (await Disk("thin").Do(cdb)).AssertGood().Data, "--all");

        Assert.Matches(@"(?s)Read write error recovery.*Caching \(SBC\).* WCE +1.*Control mode page.* QAM +1.*Informational exceptions control.* DEXCPT +1", text);
        Assert.DoesNotMatch(Complaint, text);
    }

    [Theory]
    [InlineData(false, "Fixed format, current; Sense key: Not Ready")]
    [InlineData(true, "Descriptor format, current; Sense key: Not Ready")]
    public async Task Sense_data_is_understood_in_both_formats(bool inDescriptorFormat, string says)
    {
        var sense = new SenseData(SenseKey.NotReady, 0x041B) { Progress = 0x8000, Information = 0x1234 };
        byte[] bytes = new byte[SenseData.MaxDescriptorLength];
        int length = inDescriptorFormat ? sense.WriteDescriptor(bytes) : sense.WriteFixed(bytes);

        string text = await DecodeAsync("sg_decode_sense", bytes[..length]);

        Assert.Contains(says, text, StringComparison.Ordinal);
        Assert.Contains("sanitize in progress", text, StringComparison.Ordinal);
        Assert.Contains("50", text, StringComparison.Ordinal); // per cent
        Assert.Contains("1234", text, StringComparison.Ordinal);
        Assert.DoesNotMatch(Complaint, text);
    }

    [Fact]
    public async Task A_page_with_a_planted_fault_is_complained_of()
    {
        byte[] page = (await Disk("thin").Do("12 01 83 10 00 00")).AssertGood().Data;
        page[7]++; // the first designator's length

        (string text, string complaints) = await RunAsync("sg_vpd", page, "--page=0x83");

        Assert.Matches(Complaint, text + complaints);
    }

    /// <summary>What decoders write about what they do not like.</summary>
    const string Complaint = "(?i)malformed|truncat|too short|unable|unexpected|warning|unknown|bad |page error|short designator";

    /// <summary>Decodes the bytes; anything but success and silence on standard error is a failure.</summary>
    async Task<string> DecodeAsync(string program, byte[] data, params string[] arguments)
    {
        (string text, string complaints) = await RunAsync(program, data, arguments);
        Assert.Equal("", complaints);
        return text;
    }

    async Task<(string Text, string Complaints)> RunAsync(string program, byte[] data, params string[] arguments)
    {
        Assert.SkipUnless(IsThere(program), $"needs {program} (package {(program == "sdparm" ? "sdparm" : "sg3-utils")})");
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        await File.WriteAllBytesAsync(_file, data, cancellation);
        string[] input = program switch
        {
            "sg_logs" => ["--in=" + _file, "--raw"],
            "sg_decode_sense" => ["--binary=" + _file],
            _ => ["--inhex=" + _file, "--raw"],
        };
        using Process process = Process.Start(new ProcessStartInfo(program, [.. arguments, .. input]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> complaints = process.StandardError.ReadToEndAsync(cancellation);
        string text = await process.StandardOutput.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        Assert.Equal(0, process.ExitCode);
        return (text, await complaints);
    }

    static bool IsThere(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, program)));
}
