using System.Net;
using Scuse.Iscsi.Isns;

namespace Scuse.Iscsi.Tests.Isns;

/// <summary>What goes to an iSNS server and comes from it, byte by byte. RFC 4171 section 5.</summary>
public class IsnsMessages
{
    const string Name = "0000002000000008" + "69716e2e78000000"; // "iqn.x", its NUL, and two zeros that fill it up
    const string Entity = "0000000100000004" + "65000000";

    static IsnsRegistration Registration(params string[] portals) => new()
    {
        EntityIdentifier = "e",
        Targets = ["iqn.x"],
        Portals = [.. (portals.Length == 0 ? ["192.0.2.7:3260"] : portals).Select(IPEndPoint.Parse)],
        PortalGroupTag = 2,
    };

    static string Hex(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(bytes);

    [Fact]
    public void A_registration_names_who_speaks_the_entity_its_node_and_its_portal_with_the_group_of_both()
    {
        string expected =
            "00010001" + "00989c00" + "01020000"
            + Name + Entity + "0000000000000000"
            + Entity + "000000020000000400000002"
            + Name + "000000210000000400000001"
            + "000000100000001000000000000000000000ffffc0000207" + "000000110000000400000cbc"
            + "000000330000000400000002" + "0000003000000008" + "69716e2e78000000";
        Assert.Equal(expected, Hex(Registration().ToRegister(0x0102, replaces: true)));
    }

    [Fact]
    public void A_renewal_is_the_same_without_the_replace_flag()
    {
        byte[] first = Registration().ToRegister(7, replaces: true), again = Registration().ToRegister(7, replaces: false);
        Assert.Equal("8c00", Hex(again.AsSpan(6, 2)));
        Assert.Equal(first.AsSpan(12), again.AsSpan(12));
    }

    [Fact]
    public void An_IPv6_portal_is_told_as_it_is()
    {
        string message = Hex(Registration("[2001:db8::1]:860").ToRegister(1, replaces: false));
        Assert.Contains("000000100000001020010db8000000000000000000000001" + "00000011000000040000035c", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_portal_has_a_group_with_every_target()
    {
        IsnsRegistration registration = Registration("192.0.2.7:3260", "192.0.2.8:3260") with { Targets = ["iqn.x", "iqn.y"] };
        string message = Hex(registration.ToRegister(1, replaces: false));
        const string groups = "000000330000000400000002" + "0000003000000008" + "69716e2e78000000" + "0000003000000008" + "69716e2e79000000";
        Assert.Equal(3, message.Split(groups).Length);
    }

    [Fact]
    public void Taking_away_names_who_speaks_and_the_entity()
    {
        string expected = "00010004" + "00248c00" + "00030000" + Name + "0000000000000000" + Entity;
        Assert.Equal(expected, Hex(Registration().ToDeregister(3)));
    }

    [Fact]
    public void A_long_message_goes_in_several_PDUs_that_are_numbered()
    {
        byte[] attributes = new byte[(2 * IsnsHeader.MaxPayloadBytes) + 8];
        new Random(5).NextBytes(attributes);
        byte[] message = IsnsRegistration.Message(IsnsFunction.Register, IsnsFlags.Replace, 9, attributes);
        List<byte> carried = [];
        List<(IsnsFlags Flags, int Sequence, int Length)> pdus = [];
        for (int at = 0; at < message.Length;)
        {
            var header = new IsnsHeader(message.AsSpan(at));
            Assert.Equal((1, 1, 9), (header.Version, header.Function, header.TransactionId));
            pdus.Add((header.Flags, header.SequenceId, header.PayloadLength));
            carried.AddRange(message.AsSpan(at + IsnsHeader.Length, header.PayloadLength));
            at += IsnsHeader.Length + header.PayloadLength;
        }

        const IsnsFlags all = IsnsFlags.FromClient | IsnsFlags.Replace;
        Assert.Equal([(all | IsnsFlags.First, 0, 65532), (all, 1, 65532), (all | IsnsFlags.Last, 2, 8)], pdus);
        Assert.Equal(attributes, carried);
    }

    // ---- answers ----

    static (string? Problem, bool IsLast) Take(IsnsAnswerReader reader, string pdu)
    {
        byte[] bytes = Convert.FromHexString(pdu);
        return reader.Check(bytes) is { } problem ? (problem, true) : (null, reader.Add(bytes, bytes.AsSpan(IsnsHeader.Length)));
    }

    [Fact]
    public void An_answer_says_whether_it_was_done_and_for_how_long_it_stays()
    {
        var reader = new IsnsAnswerReader(IsnsFunction.Register, 5);
        Assert.Equal((null, true), Take(reader, "00018001" + "00244c00" + "00050000" + "00000000" + Entity + "0000000000000000" + "00000006000000040000012c"));
        Assert.True(reader.TryRead(out IsnsAnswer? answer));
        Assert.Equal((true, 300u, "successful"), (answer.IsSuccess, answer.RegistrationPeriodSeconds, answer.StatusText));
    }

    [Fact]
    public void A_refusal_says_why()
    {
        var reader = new IsnsAnswerReader(IsnsFunction.Register, 5);
        Assert.Equal((null, true), Take(reader, "00018001" + "00044c00" + "00050000" + "00000003"));
        Assert.True(reader.TryRead(out IsnsAnswer? answer));
        Assert.Equal((false, "invalid registration"), (answer.IsSuccess, answer.StatusText));
    }

    [Fact]
    public void An_answer_may_come_in_several_PDUs_cut_anywhere()
    {
        var reader = new IsnsAnswerReader(IsnsFunction.Register, 5);
        Assert.Equal((null, false), Take(reader, "00018001" + "00084400" + "00050000" + "00000000" + "00000006"));
        Assert.Equal((null, false), Take(reader, "00018001" + "00044000" + "00050001" + "00000004"));
        Assert.Equal((null, true), Take(reader, "00018001" + "00044800" + "00050002" + "0000012c"));
        Assert.True(reader.TryRead(out IsnsAnswer? answer));
        Assert.Equal(300u, answer.RegistrationPeriodSeconds);
    }

    [Theory]
    [InlineData("00028001" + "00044c00" + "00050000")] // another version
    [InlineData("00018004" + "00044c00" + "00050000")] // an answer to something else
    [InlineData("00010001" + "00044c00" + "00050000")] // no answer
    [InlineData("00018001" + "00044c00" + "00060000")] // of another transaction
    [InlineData("00018001" + "00044c00" + "00050001")] // not the first
    [InlineData("00018001" + "00044800" + "00050000")] // does not say that it is
    [InlineData("00018001" + "00054c00" + "00050000")] // not in steps of four
    public void A_PDU_that_is_none_of_the_answer_is_told(string header) =>
        Assert.NotNull(new IsnsAnswerReader(IsnsFunction.Register, 5).Check(Convert.FromHexString(header)));

    [Theory]
    [InlineData("")]
    [InlineData("00000000" + "00000006")] // half an attribute
    [InlineData("00000000" + "0000000600000004")] // without its value
    [InlineData("00000000" + "00000006fffffffc" + "0000012c")]
    public void An_answer_that_ends_too_early_is_not_read(string payload)
    {
        var reader = new IsnsAnswerReader(IsnsFunction.Register, 5);
        Assert.Equal((null, true), Take(reader, $"00018001{payload.Length / 2:x4}4c0000050000{payload}"));
        Assert.False(reader.TryRead(out _));
    }

    [Fact]
    public void An_answer_without_end_is_given_up()
    {
        var reader = new IsnsAnswerReader(IsnsFunction.Register, 5);
        byte[] payload = new byte[IsnsHeader.MaxPayloadBytes];
        byte[] header = new byte[IsnsHeader.Length];
        string? problem = null;
        int sequence = 0;
        while (problem is null && sequence < 10_000)
        {
            IsnsHeader.WriteTo(header, 0x8001, IsnsFlags.FromServer | (sequence == 0 ? IsnsFlags.First : 0), 5, (ushort)sequence++, payload.Length);
            problem = reader.Check(header);
            if (problem is null)
            {
                Assert.False(reader.Add(header, payload));
            }
        }

        Assert.NotNull(problem);
        Assert.InRange((long)sequence * payload.Length, IsnsAnswerReader.MaxBytes, IsnsAnswerReader.MaxBytes + (2 * payload.Length));
    }

    [Fact]
    public void What_a_server_would_know_anew_is_told_from_what_it_knows()
    {
        IsnsRegistration registration = Registration();
        Assert.True(registration.IsSameAs(Registration()));
        Assert.False(registration.IsSameAs(Registration("192.0.2.8:3260")));
        Assert.False(registration.IsSameAs(registration with { Targets = ["iqn.x", "iqn.y"] }));
        Assert.False(registration.IsSameAs(registration with { PortalGroupTag = 3 }));
    }
}
