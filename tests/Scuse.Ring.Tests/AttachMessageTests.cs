using System.Text;
using System.Text.Json;
using Scuse.Ring.Attach;

namespace Scuse.Ring.Tests;

public sealed class AttachMessageTests
{
    static AttachMessage Parse(string json) => AttachMessage.Parse(Encoding.UTF8.GetBytes(json));

    [Fact]
    public void Members_that_are_left_out_have_the_values_that_the_protocol_says()
    {
        var ready = Assert.IsType<ReadyMessage>(Parse("""{"type":"ready","sizeBytes":1048576}"""));

        Assert.Equal(512, ready.BlockSize);
        Assert.Equal("io", ready.Level);
        Assert.Empty(ready.Features);
        Assert.Empty(ready.Ring);
        Assert.Equal("", ready.Product);
        Assert.Equal(1, ready.Rings);
    }

    [Fact]
    public void A_target_that_says_nothing_of_regions_passes_one()
    {
        var region = Assert.IsType<RegionMessage>(Parse("""{"type":"region","mapBytes":4096}"""));

        Assert.Equal(1, region.Regions);
        Assert.Equal(0, Assert.IsType<FreeKeptMessage>(Parse("""{"type":"freeKept","ids":[1]}""")).Region);
    }

    [Fact]
    public void How_many_rings_a_handler_takes_and_how_many_regions_it_gets_is_what_was_said()
    {
        byte[] ready = new ReadyMessage { SizeBytes = 512, Rings = 16 }.ToBytes(), region = new RegionMessage { MapBytes = 4096, Regions = 4 }.ToBytes();

        Assert.Contains("\"rings\":16", Encoding.UTF8.GetString(ready), StringComparison.Ordinal);
        Assert.Equal(16, Assert.IsType<ReadyMessage>(AttachMessage.Parse(ready)).Rings);
        Assert.Equal("""{"type":"region","regions":4,"mapBytes":4096,"ring":[]}""", Encoding.UTF8.GetString(region));
        Assert.Equal(4, Assert.IsType<RegionMessage>(AttachMessage.Parse(region)).Regions);
    }

    [Fact]
    public void Hello_without_a_name_is_from_a_handler()
    {
        var hello = Assert.IsType<HelloMessage>(Parse("""{"type":"hello","device":"lun0"}"""));

        Assert.Equal("handler", hello.Handler);
        Assert.Equal(1, hello.Version);
        Assert.False(hello.Replace);
        Assert.Equal("", hello.Identity);
    }

    [Fact]
    public void A_device_that_says_nothing_of_it_is_not_to_be_kept()
    {
        var device = Assert.IsType<DeviceMessage>(Parse("""{"type":"device","device":"lun0","identity":null}"""));

        Assert.Equal("", device.Identity);
        Assert.Equal(0, device.KeepSeconds);
    }

    [Fact]
    public void A_member_that_is_null_counts_as_left_out()
    {
        var ready = Assert.IsType<ReadyMessage>(Parse("""{"type":"ready","sizeBytes":512,"product":null,"features":null,"level":null}"""));

        Assert.Equal("", ready.Product);
        Assert.Equal("io", ready.Level);
        Assert.Empty(ready.Features);
    }

    [Fact]
    public void The_type_may_come_last_and_unknown_members_are_ignored() =>
        Assert.IsType<HelloMessage>(Parse("""{"colour":"red","device":"lun0","type":"hello"}"""));

    [Fact]
    public void A_type_of_a_later_version_is_a_plain_message() => Assert.Equal(typeof(AttachMessage), Parse("""{"type":"tomorrow","device":1}""").GetType());

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("""{"type":"hello"}""")]
    [InlineData("""{"type":"hello","device":7}""")]
    [InlineData("""{"type":"ready","sizeBytes":"1G"}""")]
    [InlineData("""{"type":"ready","sizeBytes":1e400}""")]
    [InlineData("""{"type":"hello","device":"lun0","replace":"yes"}""")]
    [InlineData("""{"type":"freeKept","ids":[65536]}""")]
    [InlineData("""{"type":"freeKept","ids":[-1]}""")]
    [InlineData("""{"type":"freeKept","ids":7}""")]
    [InlineData("""{"type":"freeKept","ids":[],"region":"0"}""")]
    [InlineData("""{"type":"freeKept","ids":[],"region":4294967296}""")]
    [InlineData("""{"type":"ready","sizeBytes":512,"rings":null}""")]
    [InlineData("""{"type":"ready","sizeBytes":512,"rings":1.5}""")]
    public void What_is_no_message_is_refused(string json) => Assert.Throws<JsonException>(() => Parse(json));

    [Fact]
    public void A_message_comes_back_as_it_was()
    {
        var device = new DeviceMessage { Device = "lun0", Config = "/a?size=1G", SizeBytes = 1 << 30, BlockSize = 4096, Serial = "00ff", Level = "all", ReadOnly = true, Identity = "5f1c", KeepSeconds = 30 };

        Assert.Equal(device, AttachMessage.Parse(device.ToBytes()));
    }

    [Fact]
    public void A_message_has_these_bytes() =>
        Assert.Equal(
            """{"type":"hello","version":1,"device":"lun0","handler":"c-disk","replace":true,"identity":"5f1c"}""",
            Encoding.UTF8.GetString(new HelloMessage { Device = "lun0", Handler = "c-disk", Replace = true, Identity = "5f1c" }.ToBytes()));

    [Fact]
    public void A_release_is_its_type_and_nothing_else()
    {
        Assert.Equal("""{"type":"release"}""", Encoding.UTF8.GetString(new ReleaseMessage().ToBytes()));
        Assert.IsType<ReleaseMessage>(Parse("""{"type":"release"}"""));
    }

    [Fact]
    public void A_new_size_is_what_was_said() =>
        Assert.Equal(2L << 40, Assert.IsType<SizeMessage>(AttachMessage.Parse(new SizeMessage { SizeBytes = 2L << 40 }.ToBytes())).SizeBytes);

    [Fact]
    public void Kept_commands_are_given_back_by_a_list_of_their_ids()
    {
        byte[] packet = new FreeKeptMessage { Region = 3, Ids = [1, 65535] }.ToBytes();

        Assert.Equal("""{"type":"freeKept","region":3,"ids":[1,65535]}""", Encoding.UTF8.GetString(packet));
        var message = Assert.IsType<FreeKeptMessage>(AttachMessage.Parse(packet));
        Assert.Equal(3, message.Region);
        Assert.Equal([1, 65535], message.Ids);
        Assert.Empty(Assert.IsType<FreeKeptMessage>(Parse("""{"type":"freeKept","ids":null}""")).Ids);
    }

    [Fact]
    public void The_most_ids_that_a_message_may_give_back_fit_into_a_packet() =>
        Assert.InRange(new FreeKeptMessage { Ids = [.. Enumerable.Repeat(ushort.MaxValue, FreeKeptMessage.MaxIds)] }.ToBytes().Length, 1, AttachMessage.MaxBytes);
}
