using BenchmarkDotNet.Attributes;
using Scuse.Linux;
using Scuse.Ring;

namespace Scuse.Bench.Micro;

/// <summary>
/// Commands through the ring and their answers back, so many at a time. The other side is a thread that only looks, yielding: what a handler in another process costs without a
/// doorbell. The memory is a memfd that both sides have mapped for themselves.
/// </summary>
[MemoryDiagnoser]
public class RingHop
{
    const int Commands = 4096;
    const MailboxFlags Flags = MailboxFlags.OutOfOrder | MailboxFlags.ReadLength;

    static readonly byte[] s_read = [0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0];
    readonly DataExtent[] _data = new DataExtent[1];
    readonly HandlerCommand _command = new();
    MemFd? _memory;
    MappedRegion? _here;
    MappedRegion? _there;
    TargetRing _target = null!;
    HandlerRing _handler = null!;
    Thread? _thread;
    volatile bool _isOver;

    /// <summary>How many commands are under way at once.</summary>
    [Params(1, 8, 32, 128)]
    public int Depth { get; set; }

    [GlobalSetup(Target = nameof(BetweenThreads))]
    public void Start()
    {
        Open();
        _thread = new Thread(Serve) { IsBackground = true, Name = "handler" };
        _thread.Start();
    }

    [GlobalSetup(Target = nameof(OnOneThread))]
    public void Open()
    {
        RingLayout layout = RingLayout.Default;
        _memory = MemFd.Create("bench", layout.RegionBytes);
        _here = MappedRegion.Map(_memory.Handle, layout.RegionBytes);
        _there = MappedRegion.Map(_memory.Handle, layout.RegionBytes);
        TargetRing.Format(_here.Address, layout, Flags);
        _target = new TargetRing(_here.Address, layout, Flags);
        _handler = new HandlerRing(_there.Address, layout.RegionBytes);
        _data[0] = new DataExtent(layout.DataOffset, 4096);
    }

    [GlobalCleanup]
    public void Close()
    {
        _isOver = true;
        _thread?.Join();
        _here?.Dispose();
        _there?.Dispose();
        _memory?.Dispose();
    }

    /// <summary>There and back, with another thread's processor between.</summary>
    [Benchmark(OperationsPerInvoke = Commands)]
    public void BetweenThreads()
    {
        for (int done = 0; done < Commands; done += Depth)
        {
            Post();
            int left = Depth;
            while (left > 0)
            {
                while (_target.TryReap(out _))
                {
                    left--;
                }

                if (left > 0)
                {
                    Processor.Yield();
                }
            }
        }
    }

    /// <summary>The same work on one thread: what entries and answers cost by themselves.</summary>
    [Benchmark(OperationsPerInvoke = Commands)]
    public void OnOneThread()
    {
        for (int done = 0; done < Commands; done += Depth)
        {
            Post();
            AnswerAll();
            while (_target.TryReap(out _))
            {
            }
        }
    }

    void Post()
    {
        for (int i = 0; i < Depth; i++)
        {
            if (_target.TryPost(s_read, [], _data, out _) != PostResult.Posted)
            {
                throw new InvalidOperationException("the ring is full");
            }
        }

        _target.Publish();
    }

    bool AnswerAll()
    {
        bool any = false;
        while (_handler.TryTake(_command))
        {
            _handler.Answer(_command.Id, 0, []);
            any = true;
        }

        return any && _handler.Publish();
    }

    void Serve()
    {
        while (!_isOver)
        {
            if (!AnswerAll())
            {
                Processor.Yield();
            }
        }
    }
}
