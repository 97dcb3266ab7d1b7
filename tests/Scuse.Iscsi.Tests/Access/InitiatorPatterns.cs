using System.Net;
using Scuse.Iscsi.Access;

namespace Scuse.Iscsi.Tests.Access;

public class InitiatorPatterns
{
    [Theory]
    [InlineData("*", "iqn.2026-11.example:host", true)]
    [InlineData("iqn.2026-11.example:host", "iqn.2026-11.example:host", true)]
    [InlineData("iqn.2026-11.example:host", "IQN.2026-11.Example:HOST", true)]
    [InlineData("iqn.2026-11.example:host", "iqn.2026-11.example:hosts", false)]
    [InlineData("iqn.2026-11.example:*", "iqn.2026-11.example:", true)]
    [InlineData("iqn.2026-11.example:*", "iqn.2026-11.examples:a", false)]
    [InlineData("iqn.*:host?", "iqn.2026-11.example:host7", true)]
    [InlineData("iqn.*:host?", "iqn.2026-11.example:host", false)]
    [InlineData("iqn.*:a*b*c", "iqn.x:a-b-b-c-c", true)]
    [InlineData("iqn.*:a*b*c", "iqn.x:a-b-b-c-d", false)]
    [InlineData("eui.02004567A425678D", "eui.02004567a425678d", true)]
    public void A_name_matches_with_its_wildcards_whatever_its_case(string pattern, string name, bool matches) =>
        Assert.Equal(matches, Parse(pattern).Matches(name, null));

    [Theory]
    [InlineData("192.0.2.7", "192.0.2.7", true)]
    [InlineData("192.0.2.7", "192.0.2.8", false)]
    [InlineData("192.0.2.0/24", "192.0.2.255", true)]
    [InlineData("192.0.2.0/24", "192.0.3.0", false)]
    [InlineData("192.0.2.0/24", "::ffff:192.0.2.9", true)]
    [InlineData("0.0.0.0/0", "203.0.113.1", true)]
    [InlineData("0.0.0.0/0", "2001:db8::1", false)]
    [InlineData("2001:db8::/32", "2001:db8:ffff::1", true)]
    [InlineData("2001:db8::/32", "2001:db9::1", false)]
    [InlineData("fe80::/10", "fe80::1%3", true)]
    public void An_address_matches_by_its_prefix(string pattern, string address, bool matches) =>
        Assert.Equal(matches, Parse(pattern).Matches("iqn.x", IPAddress.Parse(address)));

    [Fact]
    public void An_unknown_address_matches_no_address() => Assert.False(Parse("0.0.0.0/0").Matches("iqn.x", null));

    [Theory]
    [InlineData("")]
    [InlineData("host")]
    [InlineData("10.1")]
    [InlineData("010.0.0.1")]
    [InlineData("192.0.2.0/33")]
    [InlineData("192.0.2.7/24")]
    [InlineData("192.0.2.0/")]
    [InlineData("192.0.2.0/-1")]
    [InlineData("2001:db8::/129")]
    [InlineData("fe80::1%3")]
    [InlineData("iqn.a b")]
    public void What_is_neither_a_name_nor_an_address_is_refused(string pattern) => Assert.False(InitiatorPattern.TryParse(pattern, out _));

    [Fact]
    public void A_pattern_full_of_stars_is_compared_in_no_time()
    {
        string pattern = "iqn." + string.Concat(Enumerable.Repeat("a*", 100)) + "b";
        Assert.False(Parse(pattern).Matches("iqn." + new string('a', 219), null)); // exponential, it would not end
    }

    static InitiatorPattern Parse(string text)
    {
        Assert.True(InitiatorPattern.TryParse(text, out InitiatorPattern? pattern));
        return pattern;
    }
}
