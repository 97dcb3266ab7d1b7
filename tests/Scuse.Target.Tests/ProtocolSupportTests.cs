using System.Globalization;
using System.Text.RegularExpressions;
using Scuse.Device;
using Scuse.Scsi;
using Scuse.Tests;

namespace Scuse.Target.Tests;

/// <summary>docs/protocol-support.md says of everything that a disk does who answers it and which test shows it. Here it is held against the code.</summary>
public sealed partial class ProtocolSupportTests
{
    const int AllPages = 0x3F, AllSubpages = 0xFF;

    static readonly IReadOnlyDictionary<string, List<string[]>> s_tables = DocumentTables.Read("docs/protocol-support.md");

    static readonly string[] s_tests = FindTests();

    [Fact]
    public void Every_command_has_a_line_and_every_line_has_a_command()
    {
        IEnumerable<SupportedCommand> commands = CommandTable.Entries.Select(static entry => entry.Command).Concat(TargetCommands.All);

        Assert.Equal(commands.Select(Code).Order(StringComparer.Ordinal), s_tables["commands"].Select(static row => row[0]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Each_command_is_called_what_it_is_called_everywhere_else()
    {
        foreach (SupportedCommand command in CommandTable.Entries.Select(static entry => entry.Command).Concat(TargetCommands.All))
        {
            string name = OperationName.Of(command.Usage);
            if (name.EndsWith(')') || command.ServiceAction is null)
            {
                Assert.StartsWith(name, Line(command)[1], StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Each_command_is_answered_by_who_is_said_to()
    {
        foreach (SupportedCommand command in CommandTable.Entries.Select(static entry => entry.Command).Concat(TargetCommands.All))
        {
            byte[] cdb = command.Usage.ToArray();
            cdb[1] = command.ServiceAction ?? 0;
            string responder = PassTable.For(PassLevel.Io, cdb) switch { Responder.TargetCore => "target", Responder.DeviceServer => "device", _ => "handler" };
            Assert.Equal((Code(command), responder), (Code(command), Line(command)[3]));
            Assert.Equal(responder == "target" ? Responder.TargetCore : Responder.Handler, PassTable.For(PassLevel.All, cdb));
        }
    }

    [Fact]
    public void Every_page_that_a_disk_has_is_there_and_no_other()
    {
        var disk = new ServingBackstore(PassLevel.Io, new BlockDeviceInfo { SizeBytes = 65536, Serial = "PAGES-1", Features = BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents | BlockDeviceFeatures.Resources });
        var initiator = new Initiator(new ScsiTarget("iqn.2026-11.example:pages", [new LogicalUnit(0, disk)]));

        byte[] vpd = DataOf(initiator, [OperationCode.Inquiry, 1, VpdPage.SupportedPages, 0x02, 0, 0]);
        Assert.Equal(vpd[VpdPage.HeaderLength..].Select(static code => PageCode(code)), Codes("vpd"));

        const int headerLength = 4, pageLength = 2;
        byte[] log = DataOf(initiator, [OperationCode.LogSense, 0, LogPage.SupportedPages, LogPage.AllSubpages, 0, 0, 0, 0x02, 0, 0]);
        Assert.Equal(log[headerLength..].Chunk(pageLength).Select(static pair => PageCode(pair[0], pair[1])), Codes("log"));

        byte[] mode = DataOf(initiator, [OperationCode.ModeSense10, 0x08, AllPages, AllSubpages, 0, 0, 0, 0x04, 0, 0]);
        Assert.Equal(ModePages(mode), Codes("mode"));
    }

    [Fact]
    public void Every_task_management_function_is_there()
    {
        IEnumerable<string> functions = Enum.GetValues<TaskManagementFunction>().Select(static function => ((int)function).ToString(CultureInfo.InvariantCulture));

        Assert.Equal(functions, Codes("functions"));
    }

    [Fact]
    public void Every_line_names_a_clause_and_tests_that_there_are()
    {
        foreach ((string table, List<string[]> rows) in s_tables)
        {
            Assert.NotEmpty(rows);
            foreach (string[] row in rows)
            {
                Assert.True(row.Any(Clause().IsMatch), $"{table}: no clause: {string.Join(" | ", row)}");
                string[] named = [.. Quoted().Matches(row[^1]).Select(static match => match.Groups[1].Value)];
                Assert.True(named.Length > 0, $"{table}: no test: {string.Join(" | ", row)}");
                Assert.All(named, static name => Assert.Contains(name, s_tests));
            }
        }
    }

    /// <summary>A golden table that is named for a command has cases of it.</summary>
    [Fact]
    public void The_golden_tables_named_have_cases_of_the_command()
    {
        foreach (string[] row in s_tables["commands"])
        {
            byte operationCode = byte.Parse(row[0][..2], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            foreach (string name in Quoted().Matches(row[^1]).Select(static match => match.Groups[1].Value).Where(static name => name.StartsWith("Golden/", StringComparison.Ordinal)))
            {
                IEnumerable<string> cases = File.ReadLines(Path.Combine(AppContext.BaseDirectory, name)).Where(static line => line.Contains('|', StringComparison.Ordinal) && line[0] != '#');
                Assert.True(
                    cases.Any(line => line.Split('|')[2].Trim().StartsWith(operationCode.ToString("X2", CultureInfo.InvariantCulture), StringComparison.Ordinal)), $"{row[0]} {row[1]}: {name}");
            }
        }
    }

    static string Code(SupportedCommand command) =>
        command.ServiceAction is { } action ? string.Create(CultureInfo.InvariantCulture, $"{command.Opcode:X2}h/{action:X2}h") : PageCode(command.Opcode);

    static string PageCode(int code, int subcode = 0) =>
        subcode > 0 ? string.Create(CultureInfo.InvariantCulture, $"{code:X2}h/{subcode:X2}h") : string.Create(CultureInfo.InvariantCulture, $"{code:X2}h");

    static string[] Line(SupportedCommand command) => s_tables["commands"].Single(row => row[0] == Code(command));

    static IEnumerable<string> Codes(string table) => s_tables[table].Select(static row => row[0]);

    static byte[] DataOf(Initiator initiator, byte[] cdb)
    {
        ScsiTask task = initiator.Send(cdb, dataIn: 1024);
        Assert.Equal(ScsiStatus.Good, task.Status);
        byte[] data = new byte[task.DataInLength];
        task.DataIn.Slice(0, data.Length).CopyTo(data);
        return data;
    }

    static List<string> ModePages(byte[] parameters)
    {
        const int headerLength = 8, subpageFormat = 0x40, codeMask = 0x3F;
        List<string> pages = [];
        for (int at = headerLength; at < parameters.Length;)
        {
            bool hasSubpage = (parameters[at] & subpageFormat) != 0;
            pages.Add(PageCode(parameters[at] & codeMask, hasSubpage ? parameters[at + 1] : 0));
            at += hasSubpage ? 4 + ((parameters[at + 2] << 8) | parameters[at + 3]) : 2 + parameters[at + 1];
        }

        return pages;
    }

    static string[] FindTests()
    {
        string tests = Path.Combine(DocumentTables.Root(), "tests");
        return
        [
            .. Directory.EnumerateFiles(tests, "*.cs", SearchOption.AllDirectories).Select(static file => Path.GetFileNameWithoutExtension(file)),
            .. Directory.EnumerateFiles(Path.Combine(tests, "Scuse.Target.Tests/Golden"), "*.txt").Select(static file => $"Golden/{Path.GetFileName(file)}"),
        ];
    }

    [GeneratedRegex(@"`([^`]+)`")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"^(SPC-\d|SBC-\d|SAM-\d|RFC \d{4}) \d+(\.\d+)*$")]
    private static partial Regex Clause();
}
