using System.Text;
using Scuse.Iscsi.Negotiation;

namespace Scuse.Iscsi.Tests.Negotiation;

public class Keys
{
    static readonly IscsiOptions Options = new() { MaxBurstLength = 1 << 20, FirstBurstLength = 262144, MaxOutstandingR2T = 8 };

    /// <summary>Every key of RFC 7143 section 13: what is offered and what the answer is; empty for a declaration.</summary>
    [Theory]
    [InlineData("AuthMethod", "CHAP,None", "None")]
    [InlineData("AuthMethod", "CHAP", "Reject")]
    [InlineData("HeaderDigest", "None", "None")]
    [InlineData("HeaderDigest", "None,CRC32C", "None")]
    [InlineData("HeaderDigest", "CRC32C,None", "CRC32C")]
    [InlineData("HeaderDigest", "X-other,CRC32C", "CRC32C")]
    [InlineData("HeaderDigest", "crc32c", "Reject")]
    [InlineData("DataDigest", "CRC32C", "CRC32C")]
    [InlineData("DataDigest", "None", "None")]
    [InlineData("DataDigest", "MD5", "Reject")]
    [InlineData("MaxConnections", "8", "4")]
    [InlineData("MaxConnections", "0", "Reject")]
    [InlineData("MaxConnections", "65536", "Reject")]
    [InlineData("TargetName", "iqn.x", "")]
    [InlineData("InitiatorName", "iqn.x", "")]
    [InlineData("InitiatorAlias", "me", "")]
    [InlineData("SessionType", "Normal", "")]
    [InlineData("InitialR2T", "Yes", "Yes")]
    [InlineData("InitialR2T", "No", "No")]
    [InlineData("InitialR2T", "yes", "Reject")]
    [InlineData("ImmediateData", "Yes", "Yes")]
    [InlineData("ImmediateData", "No", "No")]
    [InlineData("MaxRecvDataSegmentLength", "262144", "")]
    [InlineData("MaxRecvDataSegmentLength", "511", "Reject")]
    [InlineData("MaxRecvDataSegmentLength", "16777216", "Reject")]
    [InlineData("MaxBurstLength", "16776192", "1048576")]
    [InlineData("MaxBurstLength", "0x40000", "262144")]
    [InlineData("MaxBurstLength", "-1", "Reject")]
    [InlineData("MaxBurstLength", "", "Reject")]
    [InlineData("FirstBurstLength", "65536", "65536")]
    [InlineData("DefaultTime2Wait", "0", "2")]
    [InlineData("DefaultTime2Wait", "30", "30")]
    [InlineData("DefaultTime2Retain", "20", "0")]
    [InlineData("DefaultTime2Retain", "3601", "Reject")]
    [InlineData("MaxOutstandingR2T", "1", "1")]
    [InlineData("MaxOutstandingR2T", "16", "8")]
    [InlineData("DataPDUInOrder", "No", "Yes")]
    [InlineData("DataSequenceInOrder", "No", "Yes")]
    [InlineData("ErrorRecoveryLevel", "2", "0")]
    [InlineData("ErrorRecoveryLevel", "3", "Reject")]
    [InlineData("TaskReporting", "FastAbort,RFC3720", "RFC3720")]
    [InlineData("iSCSIProtocolLevel", "1", "1")]
    [InlineData("iSCSIProtocolLevel", "31", "2")]
    [InlineData("IFMarker", "Yes", "No")]
    [InlineData("OFMarker", "No", "No")]
    [InlineData("IFMarkInt", "2048~8192", "Irrelevant")]
    [InlineData("OFMarkInt", "2048", "Irrelevant")]
    public void A_key_is_answered_by_its_result_function(string key, string offered, string answer) =>
        Assert.Equal(answer, KeyTable.Find(key)!.Resolve(offered, Options).Answer ?? "");

    [Theory]
    [InlineData("InitialR2T", true, "Yes", "Yes")]
    [InlineData("InitialR2T", true, "No", "Yes")]
    [InlineData("ImmediateData", false, "Yes", "No")]
    [InlineData("ImmediateData", false, "No", "No")]
    public void Our_own_wish_counts_in_a_boolean(string key, bool ours, string offered, string answer) =>
        Assert.Equal(answer, KeyTable.Find(key)!.Resolve(offered, new IscsiOptions { InitialR2T = ours, ImmediateData = ours }).Answer);

    [Theory]
    [InlineData("TargetAlias=x", "TargetAlias=Reject")] // only targets declare it
    [InlineData("TargetAddress=x", "TargetAddress=Reject")]
    [InlineData("TargetPortalGroupTag=1", "TargetPortalGroupTag=Reject")]
    [InlineData("AuthMethod=None", "AuthMethod=Reject")] // in the wrong stage
    [InlineData("X-com.example.Color=blue", "X-com.example.Color=NotUnderstood")]
    [InlineData("maxburstlength=512", "maxburstlength=NotUnderstood")] // names are case-sensitive
    [InlineData("HeaderDigest=NotUnderstood", "")]
    public void What_may_not_be_offered_is_refused(string pair, string answer)
    {
        StringBuilder reply = new();
        Assert.Null(new TextNegotiation(Options, new SessionParameters()).Answer(Pairs(pair), KeyPhases.Operational, reply));
        Assert.Equal(answer, reply.ToString().TrimEnd('\0'));
    }

    [Fact]
    public void FirstBurstLength_has_no_meaning_without_unsolicited_data()
    {
        StringBuilder reply = new();
        new TextNegotiation(Options, new SessionParameters())
            .Answer(Pairs("FirstBurstLength=65536", "InitialR2T=Yes", "ImmediateData=No"), KeyPhases.Operational, reply);
        Assert.Contains("FirstBurstLength=Irrelevant", reply.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void FirstBurstLength_is_never_above_MaxBurstLength()
    {
        StringBuilder reply = new();
        var parameters = new SessionParameters();
        new TextNegotiation(Options, parameters).Answer(Pairs("FirstBurstLength=65536", "MaxBurstLength=4096", "InitialR2T=No"), KeyPhases.Operational, reply);
        Assert.Contains("FirstBurstLength=4096", reply.ToString(), StringComparison.Ordinal);
        Assert.Equal((4096, 4096), (parameters.FirstBurstLength, parameters.MaxBurstLength));
    }

    [Fact]
    public void A_key_that_comes_twice_is_a_protocol_error()
    {
        var negotiation = new TextNegotiation(Options, new SessionParameters());
        Assert.NotNull(negotiation.Answer(Pairs("MaxBurstLength=4096", "MaxBurstLength=8192"), KeyPhases.Operational, new()));
        var other = new TextNegotiation(Options, new SessionParameters());
        Assert.Null(other.Answer(Pairs("MaxBurstLength=4096"), KeyPhases.Operational, new()));
        Assert.NotNull(other.Answer(Pairs("MaxBurstLength=4096"), KeyPhases.Operational, new()));
    }

    [Fact]
    public void In_a_discovery_session_the_transfer_keys_are_irrelevant()
    {
        StringBuilder reply = new();
        new TextNegotiation(Options, new SessionParameters { IsDiscovery = true })
            .Answer(Pairs("MaxBurstLength=4096", "ErrorRecoveryLevel=0"), KeyPhases.Operational, reply);
        Assert.Equal("MaxBurstLength=Irrelevant\0ErrorRecoveryLevel=0\0", reply.ToString());
    }

    [Fact]
    public void What_holds_for_the_whole_session_is_settled_by_its_first_connection_alone()
    {
        StringBuilder reply = new();
        var parameters = new SessionParameters();
        new TextNegotiation(Options, parameters) { IsLeading = false }
            .Answer(Pairs("MaxBurstLength=4096", "ErrorRecoveryLevel=0", "HeaderDigest=CRC32C"), KeyPhases.Operational, reply);
        Assert.Equal("MaxBurstLength=Irrelevant\0ErrorRecoveryLevel=Irrelevant\0HeaderDigest=CRC32C\0", reply.ToString());
        Assert.Equal((262144, true), (parameters.MaxBurstLength, parameters.Connection.HeaderDigest));
    }

    [Theory]
    [InlineData("=x")]
    [InlineData("novalue")]
    [InlineData("KeyNameThatIsMuchTooLongForAnyKeyOfTheStandardAndGoesOnAndOnAndOn=1")]
    public void Malformed_text_is_refused(string text) => Assert.False(TextPairs.TryRead(Encoding.ASCII.GetBytes(text + "\0"), [], out _));

    /// <summary>Else it would be answered with three bytes for each of them, and two names that differ would be read as the same one.</summary>
    [Theory]
    [InlineData("582D80803D31")]
    [InlineData("582D093D31")]
    [InlineData("496E69746961746F724E616D653D69716EFF")]
    public void Bytes_that_are_no_text_are_refused(string pair) => Assert.False(TextPairs.TryRead(Convert.FromHexString(pair + "00"), [], out _));

    [Fact]
    public void More_keys_than_the_limit_are_refused()
    {
        string text = string.Concat(Enumerable.Range(0, TextPairs.MaxPairs + 1).Select(static i => $"X-{i}=1\0"));
        Assert.False(TextPairs.TryRead(Encoding.ASCII.GetBytes(text), [], out _));
    }

    static List<KeyValuePair<string, string>> Pairs(params string[] pairs) =>
        [.. pairs.Select(static pair => new KeyValuePair<string, string>(pair.Split('=')[0], pair.Split('=')[1]))];
}
