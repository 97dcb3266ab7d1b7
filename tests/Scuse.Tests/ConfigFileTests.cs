using System.Text;
using Scuse.Cli.Configuration;

namespace Scuse.Cli.Tests;

/// <summary>A file that is wrong is one line: the file, the line in it, and what is wrong.</summary>
public sealed class ConfigFileTests
{
    const string Path = "/etc/scuse/engine.json";

    static string ProblemOf(string json) =>
        Assert.Throws<FormatException>(() => new EngineConfiguration(new ServeSettings(), ConfigFile.Parse(Path, Encoding.UTF8.GetBytes(json)))).Message;

    [Theory]
    [InlineData("{", 1, "should be closed")]
    [InlineData("", 1, "does not contain any JSON")]
    [InlineData("[]", 1, "not an object")]
    [InlineData("null", 1, "not an object")]
    [InlineData("{\n\"spin\": 1\n} x", 3, "'x' is invalid")]
    [InlineData("{\n\"portal\": []\n}", 2, "'portal' is not known here; portals, portalGroup")]
    [InlineData("{\n\"spin\": 1,\n\"spin\": 2 }", 3, "spin is there twice")]
    [InlineData("{\n\"state\": null }", 2, "state is null")]
    [InlineData("{\n\n\"portals\": \"x\" }", 3, "portals is not a list of texts")]
    [InlineData("{\n\"portals\": [\n1] }", 3, "portals[0] is not a text")]
    [InlineData("{\n\"portals\": [] }", 2, "there is no portal")]
    [InlineData("{\n\"spin\": \"1\" }", 2, "spin is not a whole number")]
    [InlineData("{\n\"spin\": 1.5 }", 2, "spin is not a whole number")]
    [InlineData("{\n\"allowAnyone\": 1 }", 2, "allowAnyone is not true or false")]
    [InlineData("{\n\"socket\": 1 }", 2, "socket is not a text")]
    [InlineData("{\n\"targets\": {} }", 2, "targets is not a list")]
    [InlineData("{\n\"targets\": [\n1] }", 3, "targets[0] is not an object")]
    [InlineData("{\n\"portals\": [\n// here\n\"127.0.0.1:1\",\n\"x\" ] }", 5, "portal 'x' is not ADDRESS:PORT")]
    [InlineData("{\n\"portalGroup\": 0 }", 2, "portalGroup 0 is not from 1 to 65535")]
    [InlineData("{\n\"errorRecoveryLevel\": 3 }", 2, "errorRecoveryLevel 3 is not from 0 to 2")]
    [InlineData("{\n\"commandTimeout\": -1 }", 2, "commandTimeout -1")]
    [InlineData("{\n\"qfullTimeout\": -2 }", 2, "qfull '-2'")]
    [InlineData("{\n\"onLoss\": \"cry\" }", 2, "loss 'cry'")]
    [InlineData("{\n\"dataArea\": \"1\" }", 2, "data '1'")]
    [InlineData("{\n\"globalDataArea\": \"x\" }", 2, "x")]
    [InlineData("{\n\"isns\": \"[::\" }", 2, "iSNS server '[::'")]
    [InlineData("{\n\"limits\": [\n\"r2ts=0\"] }", 3, "limit r2ts=0")]
    [InlineData("{\n\"initiators\": [\"nobody\"] }", 2, "initiator 'nobody'")]
    [InlineData("{\n\"chapFile\": \"nowhere.json\" }", 2, "/etc/scuse/nowhere.json")]
    [InlineData("{ \"targets\": [\n{ \"luns\": [\"memory:1M\"] } ] }", 2, "a target has no name")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"disks\", \"luns\": [\"memory:1M\"] } ] }", 2, "target 'disks' is not an iSCSI name")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\" } ] }", 2, "target iqn.2026-11.example:a has no luns")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\",\n\"luns\": [] } ] }", 3, "has no luns")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\",\n\"lun\": [] } ] }", 3, "'lun' is not known here; name, luns, initiators, chapFile, lunMaps are")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\n1] } ] }", 3, "targets[0].luns[0] is not a text, or an object")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\n{\"spec\": \"memory:1M\", \"size\": 1}] } ] }", 3, "'size' is not known here; spec, lun are")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\n{\"spec\": \"memory:1M\",\n\"lun\": \"1\"}] } ] }", 3, "targets[0].luns[0]")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\n{\"lun\": 1}] } ] }", 3, "a LUN has no spec")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\n{\"spec\": \"memory:1M\", \"lun\": 16384}] } ] }", 3, "LUN 16384 is not from 0 to 16383")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [ \"memory:1M\",\n{\"spec\": \"memory:1M\", \"lun\": 0}] } ] }", 3, "LUN 0 is there already")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\n\"disk:1M\"] } ] }", 3, "'disk' is not a kind of handler")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\"memory:1M\"],\n\"lunMaps\": [\"iqn.*=1\"] } ] }", 3, "a LUN map names logical unit 1")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\"memory:1M\"],\n\"initiators\": [\"x\"] } ] }", 3, "initiator 'x'")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\"memory:1M\"] },\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\"memory:1M\"] } ] }", 3, "there are two targets")]
    [InlineData("{ \"targets\": [\n{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\"attach:x\"] },\n{ \"name\": \"iqn.2026-11.example:b\", \"luns\": [\"attach:x\"] } ] }", 3, "another device named 'x'")]
    [InlineData("{ \"portals\": [ \"127.0.0.1:0\",\n\"0.0.0.0:0\" ], \"targets\": [{ \"name\": \"iqn.2026-11.example:a\", \"luns\": [\"memory:1M\"] }] }", 2, "anybody there could read and write the disks")]
    public void What_is_wrong_is_said_with_its_line(string json, int line, string what)
    {
        string problem = ProblemOf(json);

        Assert.StartsWith($"{Path}, line {line}: ", problem, StringComparison.Ordinal);
        Assert.Contains(what, problem, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem);
    }

    [Fact]
    public void A_file_that_is_not_there_is_one_line_too()
    {
        string problem = Assert.Throws<FormatException>(() => ConfigFile.Load("/nowhere/engine.json")).Message;

        Assert.StartsWith("/nowhere/engine.json: ", problem, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem);
    }

    [Fact]
    public void Comments_trailing_commas_and_a_byte_order_mark_are_no_mistakes()
    {
        ConfigFile file = ConfigFile.Parse(Path, Encoding.UTF8.GetBytes("\uFEFF{ /* who */ \"portalGroup\": 2, // where\n }"));

        Assert.Equal(2, file.Settings.PortalGroup);
    }
}
