using System.Text.Json.Nodes;

namespace Scuse.Kernel;

/// <summary>Linux's own initiator, with its kernel: what it proves, what it is refused, and what is on the disk that it makes of ours.</summary>
public sealed class OpenIscsiTests(Guest guest) : PeerTest, IClassFixture<Guest>
{
    const string User = "alice", Secret = "correct-horse-battery", OwnName = "disks", OwnSecret = "target-secret-123456";
    const string Finder = "finder", FinderSecret = "secret-of-the-finder";

    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Without_CHAP_it_finds_the_target_and_logs_in()
    {
        await using OpenIscsi initiator = await StartAsync();

        await initiator.FindAsync();
        await initiator.LoginToDiskAsync();

        JsonNode session = await SessionAsync();
        Assert.Equal((OpenIscsi.Name, "None"), ((string)session["initiator"]!, (string)session["authMethod"]!));

        // docs/interoperability.md says the same, and KnownInitiators plays it.
        IReadOnlyDictionary<string, string> agreed = await initiator.AgreedAsync();
        Assert.Equal(("0", "0", "0"), (agreed["header_digest"], agreed["data_digest"], agreed["erl"]));
        Assert.Equal(("0", "1", "1"), (agreed["initial_r2t"], agreed["immediate_data"], agreed["max_outstanding_r2t"]));
        Assert.Equal(("262144", "1048576"), (agreed["first_burst_len"], agreed["max_burst_len"]));
        Assert.Equal(("262144", "262144"), (agreed["max_recv_dlength"], agreed["max_xmit_dlength"]));
    }

    [Theory]
    [InlineData("SHA3-256")]
    [InlineData("SHA-256", "SHA256")]
    [InlineData("SHA-1", "SHA1")]
    [InlineData("MD5")]
    public async Task It_proves_itself_with_each_algorithm_that_it_knows(string algorithm, string? itsName = null)
    {
        await using OpenIscsi initiator = await StartWithChapAsync();

        await initiator.FindAsync([.. Chap(User, Secret), ("session.auth.chap_algs", itsName ?? algorithm)]);
        await initiator.LoginToDiskAsync();

        JsonNode session = await SessionAsync();
        Assert.Equal(($"CHAP {algorithm}", User), ((string)session["authMethod"]!, (string)session["user"]!));
    }

    [Fact]
    public async Task Of_several_algorithms_the_one_is_taken_that_it_names_first()
    {
        await using OpenIscsi initiator = await StartWithChapAsync();

        await initiator.FindAsync([.. Chap(User, Secret), ("session.auth.chap_algs", "SHA256,MD5,SHA3-256,SHA1")]);
        await initiator.LoginToDiskAsync();

        Assert.Equal("CHAP SHA-256", (string)(await SessionAsync())["authMethod"]!);
    }

    [Fact]
    public async Task The_target_proves_itself_too()
    {
        await using OpenIscsi initiator = await StartWithChapAsync();

        await initiator.FindAsync([.. Chap(User, Secret), .. Mutual(OwnName, OwnSecret)]);
        await initiator.LoginToDiskAsync();

        Assert.Equal(User, (string)(await SessionAsync())["user"]!);
    }

    [Theory]
    [InlineData(User, "wrong-horse-battery")]
    [InlineData("mallory", Secret)]
    [InlineData(User, "")]
    public async Task Wrong_names_and_secrets_and_empty_ones_are_refused_and_logged(string user, string secret)
    {
        await using OpenIscsi initiator = await StartWithChapAsync();
        await initiator.FindAsync(Chap(user, secret));

        Outcome login = await initiator.LoginAsync();

        Assert.NotEqual(0, login.ExitCode);
        Assert.Contains("authorization failure", login.Output);
        await _serve!.MustLogAsync("0201 (AuthenticationFailure)");
        Assert.DoesNotContain(Secret, _serve.Log);
    }

    [Theory]
    [InlineData(OwnName, "another-secret-123")]
    [InlineData("other-disks", OwnSecret)]
    public async Task It_goes_away_from_a_target_that_does_not_prove_to_be_the_one_it_expects(string name, string secret)
    {
        await using OpenIscsi initiator = await StartWithChapAsync();
        await initiator.FindAsync([.. Chap(User, Secret), .. Mutual(name, secret)]);

        Outcome login = await initiator.LoginAsync();

        Assert.NotEqual(0, login.ExitCode);
        Assert.Empty(await SessionsAsync());
        await _serve!.MustLogAsync("it may expect another name or secret of the target");
    }

    [Fact]
    public async Task Discovery_asks_for_CHAP_of_its_own()
    {
        await using OpenIscsi initiator = await StartWithChapAsync(discovery: true);

        Outcome none = await initiator.DiscoverAsync();
        Outcome wrong = await initiator.DiscoverAsync(DiscoveryChap(Finder, "secret-of-the-looser"));
        Outcome right = (await initiator.DiscoverAsync(DiscoveryChap(Finder, FinderSecret))).OrThrow();

        Assert.NotEqual(0, none.ExitCode);
        Assert.NotEqual(0, wrong.ExitCode);
        await _serve!.MustLogAsync("the initiator passes over authentication");
        await _serve.MustLogAsync("the name is unknown or the answer to the challenge is wrong");
        Assert.Contains(_serve.Target, right.Output);
    }

    [Fact]
    public async Task With_header_and_data_digests_files_on_ext4_are_as_they_were_written()
    {
        await using OpenIscsi initiator = await StartAsync();
        await initiator.FindAsync(("conn[0].iscsi.HeaderDigest", "CRC32C"), ("conn[0].iscsi.DataDigest", "CRC32C"));
        string disk = await initiator.LoginToDiskAsync();

        await GuestDisk.MustKeepFilesAsync(guest, disk);
        JsonNode connection = (await SessionAsync())["connections"]![0]!;

        Assert.Equal((true, true), ((bool)connection["headerDigest"]!, (bool)connection["dataDigest"]!));
    }

    ScuseServe? _serve;

    async Task<OpenIscsi> StartAsync(params string[] more)
    {
        Needs.TheLongerTests();
        await guest.BootAsync();
        _serve = await ServeAsync(["memory:512M", "--socket", TemporaryFile("attach.sock"), .. OpenIscsi.PortalForGuest().Arguments, .. more]);
        return await OpenIscsi.StartAsync(guest, _serve);
    }

    async Task<OpenIscsi> StartWithChapAsync(bool discovery = false)
    {
        string file = TemporaryFile("chap.json");
        string finders = discovery ? $$""", "discovery": { "users": [{ "name": "{{Finder}}", "secret": "{{FinderSecret}}" }] }""" : "";
        await File.WriteAllTextAsync(file, $$"""{ "users": [{ "name": "{{User}}", "secret": "{{Secret}}" }], "mutual": { "name": "{{OwnName}}", "secret": "{{OwnSecret}}" }{{finders}} }""");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return await StartAsync("--chap-file", file);
    }

    static (string, string)[] Chap(string user, string secret) =>
        [("session.auth.authmethod", "CHAP"), ("session.auth.username", user), ("session.auth.password", secret)];

    static (string, string)[] Mutual(string name, string secret) => [("session.auth.username_in", name), ("session.auth.password_in", secret)];

    static (string, string)[] DiscoveryChap(string user, string secret) => [("auth.authmethod", "CHAP"), ("auth.username", user), ("auth.password", secret)];

    async Task<JsonNode> SessionAsync() => Assert.Single(await SessionsAsync())!;

    async Task<JsonArray> SessionsAsync() =>
        JsonNode.Parse((await ScuseServe.RunAsync(Deadline, "sessions", "--json", "--control", TemporaryFile("attach.sock.control"))).OrThrow().Output)!.AsArray();
}
