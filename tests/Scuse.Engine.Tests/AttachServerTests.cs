using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Engine.Supervision;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Target;

namespace Scuse.Engine.Tests;

/// <summary>Tests that count the process's descriptors: nothing else may run beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class DescriptorCounting
{
    public const string Name = "descriptor counting";
}

/// <summary>What the attach socket says to handlers good and bad; every test ends with a good one attaching, so that no bad one has harmed it.</summary>
[Collection(DescriptorCounting.Name)]
public sealed class AttachServerTests : IDisposable
{
    const int AnswerMs = 5000;

    readonly string _path = Path.Combine(Path.GetTempPath(), $"scuse-test-{Guid.NewGuid():N}.sock");
    readonly Reactor _reactor = new("test", 0, NullLogger.Instance);
    readonly DeviceSlot _slot;
    readonly AttachServer _server;

    public AttachServerTests()
    {
        _slot = NewSlot("disk");
        _server = new AttachServer(_path, [_slot], NullLogger.Instance);
        _reactor.Start();
        _server.Start();
    }

    DeviceSlot NewSlot(string name, int rings = 1)
    {
        var options = new LunOptions { Number = 0, Spec = $"attach:{name}", DeviceName = name, DataAreaBytes = 1 << 20 };
        var backstore = new UserBackstore(options, _reactor, NullLogger.Instance, (link, reason) => _server.Drop(link, reason), new DataMemory(1 << 30, _reactor.NowMs, _reactor.Post));
        _ = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, backstore)]);
        return new DeviceSlot(options, "iqn.2026-11.example:t", backstore, _reactor, rings: rings);
    }

    public void Dispose()
    {
        _server.Dispose();
        _reactor.Stop();
        _reactor.Dispose();
    }

    [Fact]
    public void A_handler_that_says_what_it_should_gets_a_region_that_it_can_serve()
    {
        using SeqPacketSocket handler = Greet();
        Send(handler, """{"type":"ready","sizeBytes":1048576}""");

        List<SafeFileHandle> descriptors = [];
        var region = Assert.IsType<RegionMessage>(Receive(handler, descriptors));
        Assert.Equal(3, descriptors.Count);
        using MappedRegion memory = MappedRegion.Map(descriptors[0], region.MapBytes);
        Assert.True(new HandlerRing(memory.Address, memory.LengthBytes).Flags.HasFlag(MailboxFlags.OutOfOrder));
        Assert.Empty(region.Ring);
    }

    [Fact]
    public void A_handler_that_passes_memory_of_its_own_is_told_that_it_is_used_and_nothing_stays_when_it_goes()
    {
        using MemFd memory = MemFd.Create("own", 1 << 20);
        Assert.Equal(["ownMemory"], AttachWithMemory("1048576", memory.Handle));
        Assert.Equal(["ownMemory"], AttachWithMemory("4096", memory.Handle)); // a part of it
        int before = Directory.GetFiles("/proc/self/fd").Length;
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(["ownMemory"], AttachWithMemory("1048576", memory.Handle));
        }

        Assert.True(SpinWait.SpinUntil(() => Directory.GetFiles("/proc/self/fd").Length <= before, AnswerMs));
    }

    [Theory]
    [InlineData("1048576", true, "fd")] // of another kind
    [InlineData("1048576", true, "file")]
    [InlineData("1048576", true, "unsealed")]
    [InlineData("1048577", true, "sealed")]
    [InlineData("9223372036854775807", true, "sealed")]
    [InlineData("0", true, "sealed")]
    [InlineData("-4096", true, "sealed")]
    [InlineData("1048576", false, "")]
    public void Memory_that_cannot_be_trusted_is_not_used_and_the_handler_serves_without_it(string bytes, bool passes, string what)
    {
        using SafeFileHandle? descriptor = passes ? Make(what) : null;

        Assert.Empty(AttachWithMemory(bytes, descriptor));
        AssertThatAGoodHandlerAttaches();
    }

    [Fact]
    public void At_level_all_memory_is_not_used()
    {
        using MemFd memory = MemFd.Create("own", 1 << 20);

        Assert.Empty(AttachWithMemory("1048576", memory.Handle, ",\"level\":\"all\""));
    }

    static SafeFileHandle Make(string what)
    {
        switch (what)
        {
            case "fd":
                return EventFd.Create().Handle;
            case "file":
                SafeFileHandle file = File.OpenHandle(Path.GetTempFileName(), FileMode.Open, FileAccess.ReadWrite, FileShare.None, FileOptions.DeleteOnClose);
                RandomAccess.SetLength(file, 1 << 20);
                return file;
            case "unsealed":
                var unsealed = new SafeFileHandle(memfd_create([(byte)'x', 0], 3), ownsHandle: true); // MFD_CLOEXEC, MFD_ALLOW_SEALING
                Assert.Equal(0, FileRange.SetLength(unsealed, 1 << 20));
                return unsealed;
            default:
                return MemFd.Create("own", 1 << 20).Handle;
        }
    }

    [System.Runtime.InteropServices.DllImport("libc")]
    static extern int memfd_create(byte[] name, uint flags);

    string[] AttachWithMemory(string bytes, SafeFileHandle? descriptor, string more = "")
    {
        using SeqPacketSocket handler = GreetWhenFree();
        byte[] ready = Encoding.UTF8.GetBytes($$"""{"type":"ready","sizeBytes":1048576,"ring":["ownMemory"],"memoryBytes":{{bytes}}{{more}}}""");
        handler.Send(ready, descriptor is null ? default : new ReadOnlySpan<SafeFileHandle>(in descriptor));
        List<SafeFileHandle> descriptors = [];
        var region = Assert.IsType<RegionMessage>(Receive(handler, descriptors));
        descriptors.ForEach(static passed => passed.Dispose());
        return region.Ring;
    }

    // ---- several rings ----

    [Theory]
    [InlineData(1, ",\"rings\":16", 1)]
    [InlineData(2, "", 1)]
    [InlineData(2, ",\"rings\":1", 1)]
    [InlineData(2, ",\"rings\":2", 2)]
    [InlineData(2, ",\"rings\":2147483647", 2)]
    [InlineData(3, ",\"rings\":16", 3)]
    [InlineData(100, ",\"rings\":100", RegionMessage.MaxRegions)]
    public void A_handler_gets_as_many_regions_as_both_want(int wanted, string taken, int given)
    {
        List<SafeFileHandle> descriptors = [];
        List<MappedRegion> regions = [];
        using SeqPacketSocket handler = AttachTo(wanted, taken, descriptors, out RegionMessage message, out DeviceSlot slot, out AttachServer server);
        using (server)
        {
            Assert.Equal(given, message.Regions);
            Assert.Equal(3 * given, descriptors.Count);
            foreach (SafeFileHandle[] three in descriptors.Chunk(3))
            {
                Assert.Equal(message.MapBytes, FileRange.GetLength(three[0]));
                regions.Add(MappedRegion.Map(three[0], message.MapBytes));
                Assert.True(new HandlerRing(regions[^1].Address, message.MapBytes).Flags.HasFlag(MailboxFlags.KeepBuffer));
                Assert.True(IsEventFd(three[1]) && IsEventFd(three[2]));
            }

            regions[0].Slice(message.MapBytes - 1, 1).Span[0] = 1;
            Assert.All(regions.Skip(1), region => Assert.Equal(0, region.Slice(message.MapBytes - 1, 1).Span[0])); // each its own
            Assert.Equal(Enumerable.Range(0, given), slot.Session!.Links.Select(static link => link.Index));
            Assert.Same(slot.Session.Link, slot.Session.Links[0]);
        }

        regions.ForEach(static region => region.Dispose());
        descriptors.ForEach(static descriptor => descriptor.Dispose());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void What_was_kept_may_be_given_back_for_each_region(int region)
    {
        using SeqPacketSocket handler = AttachTo(2, ",\"rings\":2", [], out _, out _, out AttachServer server);
        using (server)
        {
            Send(handler, $$"""{"type":"freeKept","ids":[],"region":{{region}}}""");

            Assert.Equal(-Errno.EAGAIN, handler.Receive(new byte[100], null, timeoutMs: 50));
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    public void A_region_that_a_handler_does_not_have_has_nothing_to_give_back(int region)
    {
        using SeqPacketSocket handler = AttachTo(2, ",\"rings\":2", [], out _, out _, out AttachServer server);
        using (server)
        {
            Send(handler, $$"""{"type":"freeKept","ids":[],"region":{{region}}}""");

            AssertRefused(handler, $"freed ids of region {region}; its regions are 0 to 1");
        }
    }

    [Fact]
    public void The_memory_of_a_handler_with_several_rings_is_mapped_once_and_goes_with_the_last()
    {
        using MemFd memory = MemFd.Create("own", 1 << 20);
        using SeqPacketSocket handler = AttachTo(3, ",\"rings\":3,\"memoryBytes\":1048576", [], out RegionMessage message, out DeviceSlot slot, out AttachServer server, memory.Handle);
        using (server)
        {
            HandlerLink[] links = [.. slot.Session!.Links];
            HandlerMemory own = links[0].OwnMemory!;
            Assert.Equal(["keepBuf", "ownMemory"], message.Ring);
            Assert.All(links, link => Assert.Same(own, link.OwnMemory));

            links[2].Dispose();
            links[1].Dispose();
            Assert.Equal(0, own.Slice(0, 1).Span[0]);
            handler.Dispose(); // the first goes with its handler

            Assert.True(SpinWait.SpinUntil(() => IsUnmapped(own), AnswerMs));
        }
    }

    [Fact]
    public void Shares_in_a_handlers_memory_may_be_let_go_on_any_threads()
    {
        using MemFd memory = MemFd.Create("own", 1 << 20);
        for (int round = 0; round < 100; round++)
        {
            var passed = new SafeFileHandle(dup((int)memory.Handle.DangerousGetHandle()), ownsHandle: true);
            HandlerMemory own = HandlerMemory.TryTake(passed, 1 << 20, out _)!;
            HandlerMemory[] shares = [own, .. Enumerable.Range(0, 7).Select(_ => own.Share())];

            Parallel.ForEach(shares[1..], static share => share.Dispose());
            Assert.False(IsUnmapped(own));
            own.Dispose();

            Assert.True(IsUnmapped(own));
            Assert.True(passed.IsClosed);
        }
    }

    static bool IsUnmapped(HandlerMemory memory)
    {
        try
        {
            return memory.Slice(0, 1).Span.Length != 1;
        }
        catch (ObjectDisposedException)
        {
            return true;
        }
    }

    [Fact]
    public void After_a_handler_of_several_rings_one_that_takes_fewer_is_refused_since_commands_wait_for_each()
    {
        SeqPacketSocket first = AttachTo(2, ",\"rings\":2", [], out _, out DeviceSlot slot, out AttachServer server);
        using AttachServer ends = server;
        first.Dispose();
        Assert.True(SpinWait.SpinUntil(() => slot.Session is null, AnswerMs));
        using SeqPacketSocket next = SeqPacketSocket.Connect($"{_path}2");
        Send(next, """{"type":"hello","device":"several"}""");
        Assert.IsType<DeviceMessage>(Receive(next));

        Send(next, """{"type":"ready","sizeBytes":1048576}""");

        AssertRefused(next, "1 rings; commands come to this device by 2");
    }

    static bool IsEventFd(SafeFileHandle descriptor) =>
        File.ResolveLinkTarget($"/proc/self/fd/{descriptor.DangerousGetHandle()}", returnFinalTarget: false)!.Name.Contains("eventfd", StringComparison.Ordinal);

    [System.Runtime.InteropServices.DllImport("libc")]
    static extern int dup(int descriptor);

    SeqPacketSocket AttachTo(
        int rings, string more, List<SafeFileHandle> descriptors, out RegionMessage message, out DeviceSlot slot, out AttachServer server, SafeFileHandle? memory = null)
    {
        string path = $"{_path}2";
        slot = NewSlot("several", rings);
        server = new AttachServer(path, [slot], NullLogger.Instance);
        server.Start();
        SeqPacketSocket handler = SeqPacketSocket.Connect(path);
        Send(handler, """{"type":"hello","device":"several"}""");
        Assert.IsType<DeviceMessage>(Receive(handler));
        handler.Send(
            Encoding.UTF8.GetBytes($$"""{"type":"ready","sizeBytes":1048576,"ring":["keepBuf","ownMemory"]{{more}}}"""), memory is null ? default : new ReadOnlySpan<SafeFileHandle>(in memory));
        message = Assert.IsType<RegionMessage>(Receive(handler, descriptors));
        DeviceSlot attached = slot;
        Assert.True(SpinWait.SpinUntil(() => attached.Session?.Phase == AttachPhase.Attached, AnswerMs)); // it is sent first
        return handler;
    }

    [Theory]
    [InlineData("not json", "not a message")]
    [InlineData("[1,2]", "not a message")]
    [InlineData("""{"type":"hello","device":"disk","version":99999999999999999999}""", "not a message")]
    [InlineData("""{"type":"hello","device":"disk","version":1e99}""", "not a message")]
    [InlineData("""{"type":"hello","device":["disk"]}""", "not a message")]
    [InlineData("""{"type":"hello"}""", "not a message")]
    [InlineData("""{"type":"freeKept","ids":[1]}""", "out of its order")]
    [InlineData("""{"type":"hello","device":"disk","identity":"another"}""", "is configured otherwise now")]
    [InlineData("""{"type":"hello","device":"other"}""", "there is no device 'other'")]
    [InlineData("""{"type":"hello","device":null}""", "there is no device ''")]
    [InlineData("""{"type":"hello","version":9,"device":"disk"}""", "version 9")]
    [InlineData("""{"type":"ready","sizeBytes":512}""", "out of its order")]
    public void A_first_message_that_is_wrong_is_refused_with_the_reason(string message, string reason)
    {
        using SeqPacketSocket handler = SeqPacketSocket.Connect(_path);
        Send(handler, message);

        AssertRefused(handler, reason);
        AssertThatAGoodHandlerAttaches();
    }

    [Theory]
    [InlineData('[')]
    [InlineData('{')]
    public void A_message_nested_deeply_is_refused(char bracket)
    {
        using SeqPacketSocket handler = SeqPacketSocket.Connect(_path);
        Send(handler, $$"""{"type":"hello","device":"disk","more":{{string.Concat(Enumerable.Repeat(bracket == '[' ? "[" : "{\"a\":", 2000))}}""");

        AssertRefused(handler, "not a message");
        AssertThatAGoodHandlerAttaches();
    }

    [Theory]
    [InlineData("""{"type":"ready","sizeBytes":0}""", "size 0")]
    [InlineData("""{"type":"ready","sizeBytes":1000}""", "size 1000")]
    [InlineData("""{"type":"ready","sizeBytes":-512}""", "size -512")]
    [InlineData("""{"type":"ready","sizeBytes":1048576,"blockSize":1024}""", "block size 1024")]
    [InlineData("""{"type":"ready","sizeBytes":1048576,"level":"some"}""", "pass level 'some'")]
    [InlineData("""{"type":"ready","sizeBytes":1048576,"rings":0}""", "0 rings; one is the least")]
    [InlineData("""{"type":"ready","sizeBytes":1048576,"rings":-2147483648}""", "-2147483648 rings")]
    [InlineData("""{"type":"hello","device":"disk"}""", "out of its order")]
    public void A_ready_that_makes_no_sense_is_refused_with_the_reason(string message, string reason)
    {
        using SeqPacketSocket handler = Greet();
        Send(handler, message);

        AssertRefused(handler, reason);
        AssertThatAGoodHandlerAttaches();
    }

    [Fact]
    public void A_connection_without_a_hello_is_closed_in_time_and_a_device_that_takes_too_long_to_open_too()
    {
        string path = $"{_path}2";
        DeviceSlot slot = NewSlot("slow");
        using var server = new AttachServer(path, [slot], NullLogger.Instance, new SupervisionLimits { HelloMs = 300, ReadyMs = 300 });
        server.Start();
        using SeqPacketSocket silent = SeqPacketSocket.Connect(path);
        using SeqPacketSocket slow = SeqPacketSocket.Connect(path);
        Send(slow, """{"type":"hello","device":"slow"}""");
        Assert.IsType<DeviceMessage>(Receive(slow));

        AssertRefused(silent, "no hello within");
        AssertRefused(slow, "not ready within");
    }

    [Fact]
    public void A_second_handler_for_a_device_is_refused_and_the_first_stays()
    {
        using SeqPacketSocket first = Attach();
        using SeqPacketSocket second = SeqPacketSocket.Connect(_path);
        Send(second, """{"type":"hello","device":"disk"}""");

        AssertRefused(second, "has a handler already");
        Assert.Equal(-Errno.EAGAIN, first.Receive(new byte[100], null, timeoutMs: 50));
    }

    [Fact]
    public void A_device_keeps_the_block_size_that_initiators_know()
    {
        Attach().Dispose();
        using SeqPacketSocket other = GreetWhenFree();
        Send(other, """{"type":"ready","sizeBytes":1048576,"blockSize":4096}""");

        AssertRefused(other, "initiators know this device by 512");
    }

    [Fact]
    public void A_message_that_is_too_long_ends_that_connection_alone()
    {
        using SeqPacketSocket handler = SeqPacketSocket.Connect(_path);
        handler.Send(Encoding.UTF8.GetBytes(new string(' ', AttachMessage.MaxBytes + 1)));

        Assert.Equal(0, handler.Receive(new byte[1024], null, AnswerMs));
        AssertThatAGoodHandlerAttaches();
    }

    [Fact]
    public void Descriptors_that_nobody_asked_for_are_not_kept()
    {
        SendSurplusDescriptors(); // the runtime opens what it needs for itself
        int before = Directory.GetFiles("/proc/self/fd").Length;

        SendSurplusDescriptors();

        Assert.True(SpinWait.SpinUntil(() => Directory.GetFiles("/proc/self/fd").Length <= before, AnswerMs));
    }

    [Fact]
    public void Handlers_that_come_and_go_leave_nothing_behind()
    {
        AssertThatAGoodHandlerAttaches();
        int before = Directory.GetFiles("/proc/self/fd").Length;
        for (int i = 0; i < 20; i++)
        {
            GreetWhenFree().Dispose();
            AssertThatAGoodHandlerAttaches();
        }

        Assert.True(SpinWait.SpinUntil(() => Directory.GetFiles("/proc/self/fd").Length <= before, AnswerMs));
    }

    [Fact]
    public void A_few_descriptors_are_no_reason_to_part()
    {
        using SeqPacketSocket handler = SeqPacketSocket.Connect(_path);
        using EventFd surplus = EventFd.Create();
        handler.Send("""{"type":"hello","device":"disk"}"""u8, [surplus.Handle, surplus.Handle]);

        Assert.IsType<DeviceMessage>(Receive(handler));
    }

    [Theory]
    [InlineData("""{"type":"tomorrow"}""")]
    [InlineData("""{"type":"freeKept","ids":[]}""")]
    public void A_flood_of_messages_ends_that_connection_alone(string message)
    {
        using SeqPacketSocket handler = Attach();
        try
        {
            for (int i = 0; i < 100_000; i++)
            {
                Send(handler, message);
            }

            Assert.Fail("100,000 messages were taken");
        }
        catch (LinuxException)
        {
            // It has closed.
        }

        AssertRefused(handler, "more than 100 messages a second");
        AssertThatAGoodHandlerAttaches();
    }

    [Fact]
    public void Connections_that_say_nothing_do_not_keep_a_handler_out_and_the_oldest_are_closed()
    {
        SeqPacketSocket[] silent = [.. Enumerable.Range(0, 300).Select(_ => SeqPacketSocket.Connect(_path))];

        AssertThatAGoodHandlerAttaches();

        Assert.Equal(0, silent[0].Receive(new byte[100], null, AnswerMs));
        Assert.Equal(-Errno.EAGAIN, silent[^1].Receive(new byte[100], null, timeoutMs: 0));
        Array.ForEach(silent, static socket => socket.Dispose());
    }

    [Theory]
    [InlineData("""{"type":"freeKept","ids":[0]}""", "broke")]
    [InlineData("""{"type":"freeKept","ids":[],"region":1}""", "freed ids of region 1; its regions are 0 to 0")]
    [InlineData("""{"type":"freeKept","ids":[1],"region":-1}""", "freed ids of region -1; its regions are 0 to 0")]
    [InlineData("""{"type":"freeKept","ids":[70000]}""", "not a message")]
    [InlineData("""{"type":"freeKept","ids":[-1]}""", "not a message")]
    [InlineData("""{"type":"freeKept","ids":[1e3]}""", "not a message")]
    [InlineData("""{"type":"freeKept","ids":{"a":1}}""", "not a message")]
    [InlineData("""{"type":"ready","sizeBytes":1048576}""", "out of its order")]
    public void What_a_handler_in_service_must_not_say_costs_it_its_connection(string message, string reason)
    {
        using SeqPacketSocket handler = Attach();
        Send(handler, message);

        if (reason == "broke")
        {
            Assert.Equal(0, handler.Receive(new byte[1024], null, AnswerMs)); // the ring's business, not the protocol's
        }
        else
        {
            AssertRefused(handler, reason);
        }

        AssertThatAGoodHandlerAttaches();
    }

    void SendSurplusDescriptors()
    {
        using SeqPacketSocket handler = SeqPacketSocket.Connect(_path);
        using EventFd surplus = EventFd.Create();
        try
        {
            for (int i = 0; i < 50; i++)
            {
                handler.Send("""{"type":"tomorrow"}"""u8, [surplus.Handle, surplus.Handle, surplus.Handle]);
            }
        }
        catch (LinuxException)
        {
            // It has closed.
        }

        AssertRefused(handler, "more than 16 descriptors");
    }

    SeqPacketSocket Greet()
    {
        SeqPacketSocket handler = SeqPacketSocket.Connect(_path);
        Send(handler, """{"type":"hello","device":"disk"}""");
        var device = Assert.IsType<DeviceMessage>(Receive(handler));
        Assert.Equal(_slot.Serial, device.Serial);
        return handler;
    }

    /// <summary>The end of the connection before is noticed at once, but not yet when the call that ended it returns.</summary>
    SeqPacketSocket GreetWhenFree()
    {
        Assert.True(SpinWait.SpinUntil(() => _slot.Session is null, AnswerMs));
        return Greet();
    }

    SeqPacketSocket Attach()
    {
        SeqPacketSocket handler = GreetWhenFree();
        Send(handler, """{"type":"ready","sizeBytes":1048576}""");
        List<SafeFileHandle> descriptors = [];
        Assert.IsType<RegionMessage>(Receive(handler, descriptors));
        descriptors.ForEach(static descriptor => descriptor.Dispose());
        return handler;
    }

    void AssertThatAGoodHandlerAttaches() => Attach().Dispose();

    static void AssertRefused(SeqPacketSocket handler, string reason)
    {
        var refusal = Assert.IsType<RefusedMessage>(Receive(handler));
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
        Assert.Equal(0, handler.Receive(new byte[1024], null, AnswerMs));
    }

    static void Send(SeqPacketSocket socket, string message) => socket.Send(Encoding.UTF8.GetBytes(message));

    static AttachMessage Receive(SeqPacketSocket socket, List<SafeFileHandle>? descriptors = null)
    {
        byte[] packet = new byte[AttachMessage.MaxBytes];
        int length = socket.Receive(packet, descriptors, AnswerMs);
        Assert.True(length > 0, $"no message came: {length}");
        return AttachMessage.Parse(packet.AsSpan(0, length));
    }
}
