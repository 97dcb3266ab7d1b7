using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Scuse.Iscsi.Login;

namespace Scuse.Iscsi.Tests.Login;

/// <summary>The table of login statuses in docs/protocol-support.md.</summary>
public partial class LoginStatuses
{
    [Fact]
    public void Every_status_that_we_have_is_in_the_table_once()
    {
        string page = File.ReadAllText(Path.Combine(Path.GetDirectoryName(ThisFile())!, "../../../docs/protocol-support.md"));
        string table = page[page.IndexOf("<!-- table: statuses -->", StringComparison.Ordinal)..];
        table = table[..table.IndexOf("\n\n", StringComparison.Ordinal)];
        IEnumerable<LoginStatus> told = table.Split('\n').SelectMany(static line => Code().Matches(line.Split('|').ElementAtOrDefault(1) ?? ""))
            .Select(static match => (LoginStatus)ushort.Parse(match.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture));
        Assert.Equal(Enum.GetValues<LoginStatus>().Except([LoginStatus.TargetError]), told.Order());
    }

    static string ThisFile([CallerFilePath] string path = "") => path;

    [GeneratedRegex("([0-9A-F]{4})h")]
    private static partial Regex Code();
}
