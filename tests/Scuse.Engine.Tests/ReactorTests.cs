using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Engine.Reactors;
using Scuse.Linux;

namespace Scuse.Engine.Tests;

public sealed class ReactorTests : IDisposable
{
    const int TickMs = 250;

    readonly Lines _lines = new();
    readonly Reactor _reactor;

    public ReactorTests() => _reactor = new Reactor("test", 0, _lines);

    public void Dispose() => _reactor.Dispose();

    /// <summary>What a running reactor owns is the reactor's thread's alone: each way to change it asks for that.</summary>
    [Fact]
    public async Task Another_thread_that_touches_what_the_reactor_owns_is_found_out()
    {
        using var reactor = new Reactor("owner", 0, _lines);
        using var bell = EventFd.Create();
        var doorbell = new Doorbell();
        reactor.AddTicker(static _ => { }); // before it runs it is whoever made it
        reactor.Start();
        await reactor.InvokeAsync(reactor.AssertOwner);

        Assert.Contains("owner", Assert.Throws<InvalidOperationException>(reactor.AssertOwner).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => reactor.AddTicker(static _ => { }));
        Assert.Throws<InvalidOperationException>(() => reactor.PublishLater(new CountingRing()));
        Assert.Throws<InvalidOperationException>(() => reactor.Add(bell.Descriptor, EpollEvents.In, doorbell));
        reactor.Stop();
        reactor.AssertOwner(); // and afterwards whoever has stopped it
        doorbell.Dispose();
    }

    [Fact]
    public async Task A_reactor_stays_on_the_processor_that_it_is_given()
    {
        int processor = Processor.Allowed()[^1];
        using var reactor = new Reactor("pinned", 0, _lines) { Processor = processor };
        reactor.Start();
        int[] allowed = [];

        await reactor.InvokeAsync(() => allowed = Processor.Allowed());

        Assert.Equal([processor], allowed);
        reactor.Stop();
    }

    [Fact]
    public async Task A_reactor_that_cannot_be_kept_on_a_processor_says_so_and_runs()
    {
        using var reactor = new Reactor("astray", 0, _lines) { Processor = 8191 };
        reactor.Start();

        await reactor.InvokeAsync(static () => { });

        Assert.Contains("astray cannot be kept on processor 8191", _lines.All);
        reactor.Stop();
    }

    sealed class Lines : ILogger
    {
        public ConcurrentQueue<string> All { get; } = new();

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            All.Enqueue(formatter(state, exception));
    }

    /// <summary>A ring that counts how often it is looked at.</summary>
    sealed class CountingRing : IReactorRing
    {
        public int Looks { get; private set; }

        public int Outstanding { get; set; }

        public bool IsWatched { get; set; }

        public bool IsTold { get; private set; }

        public Action? OnReap { get; set; }

        public bool HasAnswers
        {
            get
            {
                Looks++;
                return false;
            }
        }

        public int Reap()
        {
            Looks++;
            OnReap?.Invoke();
            return 0;
        }

        public void Publish()
        {
        }

        public void AnnounceSleep() => IsTold = true;

        public void EndSleep() => IsTold = false;
    }

    void Post(CountingRing ring, int outstanding)
    {
        ring.Outstanding = outstanding;
        _reactor.PublishLater(ring);
        _reactor.Turn(0);
    }

    [Fact]
    public void A_ring_is_looked_at_from_its_first_command_until_its_last_answer()
    {
        CountingRing busy = new(), idle = new();
        Post(idle, 0);
        Post(busy, 2);
        int looks = busy.Looks;

        _reactor.Turn(0);
        _reactor.Turn(0);
        Assert.Equal((looks + 2, 0), (busy.Looks, idle.Looks));

        busy.OnReap = () => busy.Outstanding = 0;
        _reactor.Turn(0);
        _reactor.Turn(0);
        Assert.Equal(looks + 3, busy.Looks);

        Post(busy, 1);
        Assert.Equal(looks + 4, busy.Looks);
    }

    [Fact]
    public void A_ring_that_leaves_while_it_is_reaped_keeps_no_other_from_its_turn()
    {
        CountingRing[] rings = [.. Enumerable.Range(0, 5).Select(static _ => new CountingRing())];
        foreach (CountingRing ring in rings)
        {
            Post(ring, 1);
        }

        rings[2].OnReap = () => _reactor.Remove(rings[2]);
        rings[3].OnReap = () =>
        {
            rings[3].OnReap = null;
            _reactor.Remove(rings[0]);
            _reactor.Remove(rings[4]);
        };
        int[] before = [.. rings.Select(static ring => ring.Looks)];
        _reactor.Turn(0);
        _reactor.Turn(0);
        int[] looks = [.. rings.Zip(before, static (ring, count) => ring.Looks - count)];

        Assert.Equal((0, 1, 1), (looks[0], looks[2], looks[4]));
        Assert.True(looks[1] >= 2 && looks[3] >= 2, string.Join(' ', looks));
        Assert.Equal([false, true, false, true, false], rings.Select(static ring => ring.IsWatched));
    }

    [Fact]
    public async Task A_handler_is_told_of_every_sleep_and_of_its_end()
    {
        var ring = new CountingRing();
        bool toldAsleep = false;
        Action tick = () => toldAsleep |= ring.IsTold; // runs on the reactor, awake
        _reactor.AddTicker(_ => tick());
        _reactor.Start();
        await _reactor.InvokeAsync(() =>
        {
            ring.Outstanding = 1;
            _reactor.PublishLater(ring);
        });
        await Task.Delay(100);
        Assert.True(ring.IsTold); // it has nothing to do
        await Task.Delay(3 * TickMs);
        _reactor.Stop();

        Assert.False(toldAsleep);
    }

    /// <summary>Something that stays ready until it is heard.</summary>
    sealed class Visitor(EventFd bell, bool isPatient) : IEventSource
    {
        public int Heard { get; private set; }

        public bool IsPatient => isPatient;

        public void OnEvents(EpollEvents events)
        {
            Heard++;
            bell.Drain();
        }
    }

    [Fact]
    public void Of_those_that_can_wait_one_is_heard_a_turn_and_of_the_others_everyone()
    {
        EventFd[] bells = [.. Enumerable.Range(0, 20).Select(static _ => EventFd.Create())];
        Visitor[] visitors = [.. bells.Select(static (bell, i) => new Visitor(bell, isPatient: i < 10))];
        for (int i = 0; i < bells.Length; i++)
        {
            _reactor.Add(bells[i].Descriptor, EpollEvents.In, visitors[i]);
            bells[i].Signal();
        }

        for (int turn = 1; turn <= 10; turn++)
        {
            Assert.True(_reactor.Turn(0));
            Assert.Equal(turn, visitors[..10].Sum(static visitor => visitor.Heard));
            Assert.All(visitors[10..], static visitor => Assert.Equal(1, visitor.Heard));
        }

        Assert.All(visitors, static visitor => Assert.Equal(1, visitor.Heard));
        Assert.False(_reactor.Turn(0));
        Array.ForEach(bells, static bell => bell.Dispose());
    }

    /// <summary>Ready for ever.</summary>
    sealed class Insistent : IEventSource
    {
        public int Heard { get; private set; }

        public bool IsPatient => true;

        public void OnEvents(EpollEvents events) => Heard++;
    }

    [Fact]
    public void One_that_is_always_ready_does_not_keep_the_others_that_can_wait_from_their_turn()
    {
        EventFd[] bells = [.. Enumerable.Range(0, 3).Select(static _ => EventFd.Create())];
        Insistent[] all = [.. bells.Select(static _ => new Insistent())];
        for (int i = 0; i < bells.Length; i++)
        {
            _reactor.Add(bells[i].Descriptor, EpollEvents.In, all[i]);
            bells[i].Signal();
        }

        for (int turn = 0; turn < 30; turn++)
        {
            _reactor.Turn(0);
        }

        Assert.All(all, static one => Assert.Equal(10, one.Heard));
        Array.ForEach(bells, static bell => bell.Dispose());
    }

    // ---- doorbells ----

    [Fact]
    public void A_doorbell_that_rings_as_often_as_there_are_answers_is_never_muted()
    {
        using var doorbell = new Doorbell();
        doorbell.Join(_reactor, "LUN 7");
        for (int i = 0; i < 3 * Doorbell.RingsAllowed; i++)
        {
            doorbell.CountAnswer();
            doorbell.OnEvents(EpollEvents.In);
        }

        Assert.False(doorbell.IsMuted);
        Assert.Empty(_lines.All);
    }

    [Fact]
    public void A_doorbell_that_rings_without_reason_is_muted_listened_to_again_and_forgiven()
    {
        using var doorbell = new Doorbell();
        using EventFd bell = EventFd.FromHandle(doorbell.Handle);
        doorbell.Join(_reactor, "LUN 7: handler x (pid 1)");
        int turns = 0;
        while (!doorbell.IsMuted)
        {
            bell.Signal();
            Assert.True(_reactor.Turn(0));
            Assert.InRange(++turns, 1, 3 * Doorbell.RingsAllowed); // a tick may fall between
        }

        Assert.Contains("LUN 7: handler x (pid 1)", Assert.Single(_lines.All));
        bell.Signal();
        Assert.False(_reactor.Turn(0)); // it rings, and nobody hears

        for (int i = 0; doorbell.IsMuted; i++)
        {
            Assert.InRange(i, 0, 20);
            _reactor.Tick(_reactor.NowMs);
        }

        bell.Signal();
        Assert.True(_reactor.Turn(0));
        for (int i = 0; i < 30; i++)
        {
            _reactor.Tick(_reactor.NowMs);
        }

        Assert.Equal(2, _lines.All.Count);
        doorbell.Leave();
    }

    [Fact]
    public void A_doorbell_that_does_not_get_better_is_muted_for_longer_and_told_of_once()
    {
        using var doorbell = new Doorbell();
        doorbell.Join(_reactor, "LUN 7");
        long now = _reactor.NowMs;
        int heard = 0;
        for (int i = 0; i < 100; i++)
        {
            if (!doorbell.IsMuted)
            {
                heard++;
                for (int ring = 0; ring <= Doorbell.RingsAllowed; ring++)
                {
                    doorbell.OnEvents(EpollEvents.In);
                }
            }

            _reactor.Tick(now += TickMs);
        }

        Assert.Equal(3 + 12, heard); // after 1, 2 and 4 ticks, then every 8
        Assert.Single(_lines.All);
        doorbell.Leave();
    }

    [Fact]
    public async Task A_flood_of_one_doorbell_does_not_keep_another_waiting()
    {
        using var reactor = new Reactor("test", 0, NullLogger.Instance);
        using Doorbell mad = new(), sane = new();
        using EventFd madBell = EventFd.FromHandle(mad.Handle), saneBell = EventFd.FromHandle(sane.Handle);
        var heard = new CountingSource();
        reactor.Start();
        await reactor.InvokeAsync(() =>
        {
            mad.Join(reactor, "mad");
            reactor.Add(saneBell.Descriptor, EpollEvents.In | EpollEvents.EdgeTriggered, heard);
        });
        using var stop = new CancellationTokenSource(1_500);
        Task flood = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                madBell.Signal();
            }
        });
        await Task.Delay(500);
        TimeSpan before = default, after = default;
        int turns = 0;
        await reactor.InvokeAsync(() => before = ThreadTime());
        for (int i = 0; i < 20; i++)
        {
            saneBell.Signal();
            await Task.Delay(20);
            turns++;
        }

        await reactor.InvokeAsync(() => after = ThreadTime());
        await flood;
        reactor.Stop();

        Assert.InRange(heard.Count, turns / 2, turns);
        Assert.True(after - before < TimeSpan.FromMilliseconds(150), $"{after - before} of processor time in about half a second");
    }

    sealed class CountingSource : IEventSource
    {
        public int Count { get; private set; }

        public void OnEvents(EpollEvents events) => Count++;
    }

    /// <summary>The processor time of the calling thread, from its own stat file.</summary>
    static TimeSpan ThreadTime()
    {
        string[] fields = File.ReadAllText("/proc/thread-self/stat").Split(") ")[1].Split(' ');
        return TimeSpan.FromMilliseconds((long.Parse(fields[11]) + long.Parse(fields[12])) * 10);
    }
}
