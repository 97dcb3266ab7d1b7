using System.Buffers.Binary;
using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Scuse.Linux;
using Scuse.Ring.Attach;

namespace Scuse.Ring.Tests;

/// <summary>The C handler, compiled against the kernel's header, behind our target's end of the ring: two programs that share no code.</summary>
public sealed class CHandlerTests : IClassFixture<CHandlerTests.Binary>
{
    const int Block = 512;
    const int DiskBytes = 1 << 20;

    readonly Binary _binary;

    public CHandlerTests(Binary binary) => _binary = binary;

    public sealed class Binary : IDisposable
    {
        readonly TemporaryDirectory _directory = new();

        public string Path { get; private set; } = "";

        public void Build()
        {
            CCompiler.SkipIfMissing();
            if (Path.Length > 0)
                return;
            CCompiler.Run("sh", System.IO.Path.Combine(AppContext.BaseDirectory, "c-handler", "build.sh"), _directory.File("disk"));
            Path = _directory.File("disk");
        }

        public void Dispose() => _directory.Dispose();
    }

    Session Attach(int ringBytes = 4096 - RingAbi.MailboxBytes, bool byEnvironment = false)
    {
        _binary.Build();
        return new Session(_binary.Path, ringBytes, byEnvironment);
    }

    [Fact]
    public void It_introduces_itself_and_says_what_it_can()
    {
        using var session = Attach();

        Assert.Equal(("c0", "c-disk", 1), (session.Hello.Device, session.Hello.Handler, session.Hello.Version));
        Assert.Equal((DiskBytes, Block, ReadyMessage.LevelIo), ((int)session.Ready.SizeBytes, session.Ready.BlockSize, session.Ready.Level));
        Assert.Equal(["flush", "unmap", "writeZeroes"], session.Ready.Features);
        Assert.Empty(session.Ready.Ring);
    }

    [Fact]
    public void It_takes_socket_and_device_from_the_environment()
    {
        using var session = Attach(byEnvironment: true);

        Assert.Equal("c0", session.Hello.Device);
    }

    [Theory]
    [InlineData("0A0000100200", "080000100200")]
    [InlineData("2A000000001000000200", "28000000001000000200")]
    [InlineData("AA0000000010000000020000", "A80000000010000000020000")]
    [InlineData("8A000000000000000010000000020000", "88000000000000000010000000020000")]
    public void What_is_written_is_read_back(string write, string read)
    {
        using var session = Attach();
        var data = new byte[2 * Block];
        Random.Shared.NextBytes(data);

        session.Write(write, data);

        Assert.Equal(data, session.Read(read, data.Length));
        Assert.Equal(new byte[Block], session.Read("28000000000F00000100", Block));
    }

    [Fact]
    public void Data_in_several_pieces_keeps_its_order()
    {
        using var session = Attach();
        var data = new byte[64 * Block];
        Random.Shared.NextBytes(data);
        session.FragmentDataArea();

        session.Write("2A000000000000004000", data);

        Assert.Equal(data, session.Read("28000000000000004000", data.Length));
    }

    [Fact]
    public void Only_what_the_iovecs_hold_is_moved_where_the_CDB_asks_for_more()
    {
        using var session = Attach();

        session.Write("2A000000000000000800", [1, 2, 3]);

        Assert.Equal([1, 2, 3, 0], session.Read("28000000000000000100", 4));
    }

    [Fact]
    public void UNMAP_and_WRITE_SAME_without_data_leave_zeroes()
    {
        using var session = Attach();
        var ones = new byte[32 * Block];
        ones.AsSpan().Fill(0xFF);
        session.Write("2A000000000000002000", ones);

        // Blocks 1 to 3, and from 8 on seventeen blocks.
        session.Write("42000000000000002800", Convert.FromHexString("0026002000000000" + "00000000000000010000000300000000" + "00000000000000080000001100000000"));
        session.Run("9301" + "000000000000001E" + "00000002" + "0000", [], 0);

        var expected = (byte[])ones.Clone();
        expected.AsSpan(1 * Block, 3 * Block).Clear();
        expected.AsSpan(8 * Block, 17 * Block).Clear();
        expected.AsSpan(30 * Block, 2 * Block).Clear();
        Assert.Equal(expected, session.Read("28000000000000002000", expected.Length));
    }

    [Theory]
    [InlineData("35000000000000000000")]
    [InlineData("91000000000000000000000000000000")]
    public void A_flush_is_good(string cdb)
    {
        using var session = Attach();

        Assert.Equal((RingFixture.Good, ResponseFlags.None), (session.Run(cdb, [], 0) is var a ? a.Status : default, a.Flags));
    }

    [Theory]
    [InlineData("000000000000")]
    [InlineData("12000000FF00")]
    [InlineData("89000000000000000000000000000100")]
    public void What_it_does_not_know_it_says_it_does_not_know(string cdb)
    {
        using var session = Attach();

        Assert.Equal(ResponseFlags.UnknownOp, session.Run(cdb, [], 0).Flags);
    }

    [Theory]
    [InlineData("28000000080000000100", 0x2100)]
    [InlineData("88007FFFFFFFFFFFFFFF000000010000", 0x2100)]
    [InlineData("93000000000000000000000000010000", 0x2400)]
    public void A_bad_request_gets_ILLEGAL_REQUEST_and_moves_nothing(string cdb, int additionalSense)
    {
        using var session = Attach();

        Assert.Equal(RingFixture.CheckCondition, session.Run(cdb, [], Block).Status);

        var sense = new byte[RingAbi.SenseBytes];
        session.Target.CopySense(sense);
        Assert.Equal((0x70, 0x05, additionalSense), (sense[0], sense[2], BinaryPrimitives.ReadUInt16BigEndian(sense.AsSpan(12))));
    }

    [Theory]
    [InlineData(264)]
    [InlineData(1000)]
    [InlineData(3968)]
    public void It_follows_the_ring_around_many_times_in_batches_with_notices_between(int ringBytes)
    {
        using var session = Attach(ringBytes);
        var target = session.Target;
        var random = new Random(1);
        int posted = 0, reaped = 0;

        while (reaped < 5000)
        {
            while (posted < 5000 && target.TryPost(Convert.FromHexString(random.Next(2) == 0 ? "080000000100" : "88000000000000000000000000010000"), [], [], out var id) == PostResult.Posted)
            {
                posted++;
                if (random.Next(10) == 0)
                    target.TryPostTaskManagement(RingAbi.TaskManagementAbortTask, [id]);
            }
            session.PublishAndRing();
            session.WaitForDoorbell();
            while (target.TryReap(out var answer))
            {
                Assert.Equal(RingFixture.Good, answer.Status);
                reaped++;
            }
            Assert.Null(target.Violation);
        }
        Assert.Equal(0, target.Outstanding);
    }

    [Fact]
    public void It_ends_well_when_told_to_go()
    {
        using var session = Attach();
        session.Run("000000000000", [], 0);

        Assert.Equal(0, session.Remove());
    }

    [Fact]
    public void It_ends_well_when_the_target_is_gone()
    {
        using var session = Attach();

        Assert.Equal(0, session.HangUp());
    }

    /// <summary>A target with one device, which a C handler serves.</summary>
    sealed class Session : IDisposable
    {
        const int PatienceMs = 20_000;

        readonly TemporaryDirectory _directory = new();
        readonly Process _process;
        readonly SeqPacketSocket _socket;
        readonly MemFd _memory;
        readonly MappedRegion _region;
        readonly EventFd _handlerDoorbell = EventFd.Create();
        readonly EventFd _targetDoorbell = EventFd.Create();
        readonly Epoll _epoll = Epoll.Create();
        readonly DataArea _area;
        readonly ExtentList _extents = new();

        public Session(string program, int ringBytes, bool byEnvironment)
        {
            using var listener = SeqPacketListener.Listen(_directory.File("socket"));
            var start = new ProcessStartInfo(program, byEnvironment ? ["-", "-", $"{DiskBytes}"] : [listener.Path, "c0", $"{DiskBytes}", $"{Block}"]);
            start.Environment[AttachMessage.SocketVariable] = listener.Path;
            start.Environment[AttachMessage.DeviceVariable] = "c0";
            _process = Process.Start(start)!;
            _socket = Accept(listener);

            Hello = Receive<HelloMessage>();
            // The configuration holds what a careless reader of JSON would fall over.
            _socket.Send(new DeviceMessage { Device = "c0", Config = "{\"type\":\"remove\"}" }.ToBytes());
            Ready = Receive<ReadyMessage>();

            var layout = RingLayout.Create(ringBytes, 256 * 4096);
            _memory = MemFd.Create("c-handler-test", layout.RegionBytes);
            _region = MappedRegion.Map(_memory.Handle, layout.RegionBytes);
            TargetRing.Format(_region.Address, layout, RingFixture.AllFlags);
            Target = new TargetRing(_region.Address, layout, RingFixture.AllFlags);
            _area = new DataArea(layout);
            _epoll.Add(_targetDoorbell.Descriptor, EpollEvents.In, 0);
            SafeFileHandle[] descriptors = [_memory.Handle, _handlerDoorbell.Handle, _targetDoorbell.Handle];
            _socket.Send(new RegionMessage { MapBytes = layout.RegionBytes }.ToBytes(), descriptors);
        }

        public HelloMessage Hello { get; }

        public ReadyMessage Ready { get; }

        public TargetRing Target { get; }

        public void Write(string cdb, byte[] data) => Assert.Equal(RingFixture.Good, Run(cdb, data, 0).Status);

        public byte[] Read(string cdb, int bytes)
        {
            Assert.Equal(RingFixture.Good, Run(cdb, [], bytes, out var data).Status);
            return data;
        }

        public RingAnswer Run(string cdb, byte[] dataOut, int dataInBytes) => Run(cdb, dataOut, dataInBytes, out _);

        /// <summary>Leaves every other of the first blocks taken, so that data comes in pieces.</summary>
        public void FragmentDataArea()
        {
            var blocks = Enumerable.Range(0, 12).Select(_ => { var list = new ExtentList(); _area.TryAllocate(4096, list); return list; }).ToArray();
            for (var i = 0; i < blocks.Length; i += 2)
                _area.Free(blocks[i].AsSpan());
        }

        public void PublishAndRing()
        {
            if (Target.Publish() && Target.HandlerWantsDoorbell(waitFlagsInForce: false))
                _handlerDoorbell.Signal();
        }

        public void WaitForDoorbell()
        {
            var reports = new EpollEvent[1];
            Assert.True(_epoll.Wait(reports, PatienceMs) == 1, "the handler rang no doorbell");
            _targetDoorbell.Drain();
        }

        public int Remove()
        {
            _socket.Send(new RemoveMessage().ToBytes());
            return WaitForExit();
        }

        public int HangUp()
        {
            _socket.Dispose();
            return WaitForExit();
        }

        public void Dispose()
        {
            _socket.Dispose();
            if (!_process.WaitForExit(PatienceMs))
                _process.Kill();
            _process.Dispose();
            _epoll.Dispose();
            _handlerDoorbell.Dispose();
            _targetDoorbell.Dispose();
            _region.Dispose();
            _memory.Dispose();
            _directory.Dispose();
        }

        RingAnswer Run(string cdb, byte[] dataOut, int dataInBytes, out byte[] dataIn)
        {
            _extents.Clear();
            Assert.True(_area.TryAllocate(dataOut.Length + dataInBytes, _extents));
            var done = 0;
            foreach (var extent in dataOut.Length > 0 ? _extents.AsSpan() : [])
            {
                dataOut.AsSpan(done, (int)extent.Length).CopyTo(_region.Slice(extent.Offset, (int)extent.Length).Span);
                done += (int)extent.Length;
            }
            var extents = _extents.AsSpan();
            Assert.Equal(PostResult.Posted, Target.TryPost(Convert.FromHexString(cdb), dataOut.Length > 0 ? extents : [], dataOut.Length > 0 ? [] : extents, out var id));
            PublishAndRing();
            WaitForDoorbell();
            Assert.True(Target.TryReap(out var answer), Target.Violation ?? "a doorbell without an answer");
            Assert.Equal(id, answer.Id);

            dataIn = new byte[dataInBytes];
            done = 0;
            foreach (var extent in dataInBytes > 0 ? extents : [])
            {
                _region.Slice(extent.Offset, (int)extent.Length).Span.CopyTo(dataIn.AsSpan(done));
                done += (int)extent.Length;
            }
            _area.Free(extents);
            return answer;
        }

        int WaitForExit()
        {
            Assert.True(_process.WaitForExit(PatienceMs), "the handler did not end");
            return _process.ExitCode;
        }

        static SeqPacketSocket Accept(SeqPacketListener listener)
        {
            using var epoll = Epoll.Create();
            epoll.Add(listener.Descriptor, EpollEvents.In, 0);
            epoll.Wait(new EpollEvent[1], PatienceMs);
            return listener.Accept() ?? throw new TimeoutException("the handler did not connect");
        }

        T Receive<T>() where T : AttachMessage
        {
            var packet = new byte[AttachMessage.MaxBytes];
            var length = _socket.Receive(packet, null, PatienceMs);
            Assert.True(length > 0, "the handler sent nothing");
            return Assert.IsType<T>(AttachMessage.Parse(packet.AsSpan(0, length)));
        }
    }
}
