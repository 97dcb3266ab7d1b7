using Scuse.Iscsi.Access;

namespace Scuse.Engine.Tests.Configuration;

public sealed class ChapFileTests : IDisposable
{
    const string Secret = "correct horse battery";

    readonly string _path = Path.Combine(Directory.CreateTempSubdirectory("scuse-chap-").FullName, "chap.json");

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_path)!, recursive: true);

    ChapFile Load(string json, UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite)
    {
        File.WriteAllText(_path, json);
        File.SetUnixFileMode(_path, mode);
        return ChapFile.Load(_path);
    }

    string Refusal(string json) => Assert.Throws<FormatException>(() =>
    {
        ChapFile file = Load(json);
        file.ForTarget?.ToRules();
        file.ForDiscovery?.ToRules();
    }).Message;

    [Fact]
    public void Users_the_targets_own_name_and_those_of_discovery_are_read()
    {
        ChapFile file = Load($$"""
            {
              "users": [{ "name": "alice", "secret": "{{Secret}}", "initiators": ["iqn.2026-11.example:alice"] }],
              "mutual": { "name": "disks", "secret": "the target's secret" },
              "discovery": { "users": [{ "name": "finder", "secret": "secret of the finder" }], "algorithms": ["SHA-256", "MD5"] },
              "algorithms": ["SHA3-256", "sha-256"]
            }
            """);
        ChapAuthentication target = file.ForTarget!.ToRules(), discovery = file.ForDiscovery!.ToRules();
        Assert.Equal("disks", target.Own!.Name);
        Assert.Equal("iqn.2026-11.example:alice", Assert.Single(target.Find("alice")!.Initiators!).ToString());
        Assert.DoesNotContain(ChapAlgorithm.Md5, target.Algorithms);
        Assert.NotNull(discovery.Find("finder"));
        Assert.Contains(ChapAlgorithm.Sha256, discovery.Algorithms);
        Assert.Null(discovery.Own);
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void A_file_that_others_may_read_or_write_is_refused_with_how_to_mend_it(UnixFileMode others)
    {
        FormatException refused = Assert.Throws<FormatException>(() => Load("{}", UnixFileMode.UserRead | UnixFileMode.UserWrite | others));
        Assert.Contains($"chmod 600 {_path}", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "users": [{ "name": "alice", "secret": "SHORT" }] }""", "12 to 255 bytes")]
    [InlineData("""{ "users": [{ "name": "", "secret": "SECRET-SECRET-SECRET" }] }""", "CHAP user ''")]
    [InlineData("""{ "users": [] }""", "lets nobody in")]
    [InlineData("""{ "users": [{ "name": "a", "secret": "SECRET-SECRET-SECRET" }, { "name": "a", "secret": "SECRET-SECRET-SECRET" }] }""", "twice")]
    [InlineData("""{ "users": [{ "name": "a", "secret": "SECRET-SECRET-SECRET" }], "mutual": { "name": "b", "secret": "SECRET-SECRET-SECRET" } }""", "the same secret")]
    [InlineData("""{ "users": [{ "name": "a", "secret": "SECRET-SECRET-SECRET", "initiators": ["all"] }] }""", "initiator 'all'")]
    [InlineData("""{ "users": [{ "name": "a", "secret": "SECRET-SECRET-SECRET" }], "algorithms": ["SHA-7"] }""", "SHA-7")]
    [InlineData("""{ "mutual": { "name": "b", "secret": "SECRET-SECRET-SECRET" } }""", "names no users")]
    [InlineData("""{ }""", "names no users")]
    [InlineData("""{ "user": [] }""", "$.user")]
    [InlineData("""{ "users": [{ "name": "a" }] }""", "$.users[0]")]
    [InlineData("{\n \"users\": [{ \"name\": \"a\", \"secret\": SECRET-SECRET-SECRET }] }", "at line 2")]
    [InlineData("", "not what it should be")]
    public void What_is_wrong_is_told_in_one_line_without_a_secret(string json, string told)
    {
        string message = Refusal(json);
        Assert.Contains(told, message, StringComparison.Ordinal);
        Assert.DoesNotContain("SECRET", message, StringComparison.Ordinal);
        Assert.DoesNotContain("SHORT", message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void A_file_that_is_not_there_is_named() =>
        Assert.Contains("/nowhere/chap.json", Assert.Throws<FormatException>(() => ChapFile.Load("/nowhere/chap.json")).Message, StringComparison.Ordinal);

    [Fact]
    public void No_record_says_a_secret()
    {
        ChapFile file = Load($$"""{ "users": [{ "name": "alice", "secret": "{{Secret}}" }] }""");
        Assert.DoesNotContain(Secret, $"{file} {file.ForTarget} {file.Users![0]}", StringComparison.Ordinal);
        Assert.Contains("alice", file.Users[0].ToString(), StringComparison.Ordinal);
    }
}
