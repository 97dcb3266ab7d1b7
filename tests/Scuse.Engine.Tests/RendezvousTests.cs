using Scuse.Engine.Reactors;

namespace Scuse.Engine.Tests;

public sealed class RendezvousTests
{
    const int Threads = 4;

    /// <summary>A place where reactors would be: what they do in a turn, on a thread each; tells when all have ended.</summary>
    static async Task RunAsync(Rendezvous rendezvous, int threads, Action<int> work)
    {
        var failures = new List<Exception>();
        await Task.WhenAll(Enumerable.Range(0, threads).Select(index => Task.Factory.StartNew(
            () =>
            {
                rendezvous.Join(index);
                try
                {
                    work(index);
                }
                catch (Exception failure)
                {
                    lock (failures)
                    {
                        failures.Add(failure);
                    }
                }
                finally
                {
                    rendezvous.Leave();
                }
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default)));
        Assert.Empty(failures);
    }

    [Fact]
    public async Task Who_is_alone_finds_all_others_between_two_turns_and_sees_what_they_have_done()
    {
        const int turns = 20_000;
        var rendezvous = new Rendezvous(Threads);
        bool[] isInTurn = new bool[Threads * 64]; // plain words, a cache line apart: what orders them is the meeting alone
        int[] own = new int[Threads * 64];
        int shared = 0, sections = 0;

        await RunAsync(rendezvous, Threads, index =>
        {
            var random = new Random(index);
            for (int turn = 0; turn < turns; turn++)
            {
                isInTurn[index * 64] = true;
                own[index * 64]++;
                isInTurn[index * 64] = false;
                switch (random.Next(20))
                {
                    case 0:
                        rendezvous.Enter();
                        for (int other = 0; other < Threads; other++)
                        {
                            Assert.False(isInTurn[other * 64], $"{other} is in a turn while {index} is alone");
                        }

                        int before = shared;
                        Thread.SpinWait(20);
                        shared = before + 1;
                        Interlocked.Increment(ref sections);
                        rendezvous.Exit();
                        break;
                    case 1:
                        rendezvous.Stand();
                        if (random.Next(50) == 0)
                        {
                            Thread.Sleep(1);
                        }

                        rendezvous.GoOn();
                        break;
                }

                if (rendezvous.IsWanted)
                {
                    rendezvous.Pause();
                }
            }
        });

        Assert.True(sections > turns / 10, $"{sections} sections");
        Assert.Equal(sections, shared); // no two were alone at once
        Assert.Equal(Threads * turns, own.Sum());
    }

    [Fact]
    public async Task One_that_sleeps_is_not_waited_for_and_does_not_go_on_while_another_is_alone()
    {
        var rendezvous = new Rendezvous(2);
        using ManualResetEventSlim asleep = new(), alone = new();
        bool wentOn = false, wentOnTooSoon = false;

        await RunAsync(rendezvous, 2, index =>
        {
            if (index == 0)
            {
                rendezvous.Stand();
                asleep.Set();
                alone.Wait();
                rendezvous.GoOn();
                Volatile.Write(ref wentOn, true);
            }
            else
            {
                asleep.Wait();
                rendezvous.Enter();
                alone.Set();
                Thread.Sleep(50);
                wentOnTooSoon = Volatile.Read(ref wentOn);
                rendezvous.Exit();
            }
        });

        Assert.Equal((true, false), (wentOn, wentOnTooSoon));
    }

    [Fact]
    public async Task Sections_may_stand_in_one_another_and_what_is_for_afterwards_comes_after_the_last()
    {
        var rendezvous = new Rendezvous(1);
        List<string> seen = [];

        await RunAsync(rendezvous, 1, _ =>
        {
            Assert.False(rendezvous.IsHeld);
            rendezvous.Enter();
            rendezvous.Enter();
            rendezvous.Afterwards(() => seen.Add($"afterwards, held {rendezvous.IsHeld}, wanted {rendezvous.IsWanted}"));
            rendezvous.Exit();
            seen.Add($"inside, held {rendezvous.IsHeld}");
            rendezvous.Exit();
        });

        Assert.Equal(["inside, held True", "afterwards, held False, wanted False"], seen);
    }

    [Fact]
    public void A_thread_that_takes_no_part_cannot_be_alone()
    {
        var rendezvous = new Rendezvous(2);

        Assert.False(rendezvous.IsHeld);
        Assert.Throws<InvalidOperationException>(rendezvous.Enter);
    }

    [Fact]
    public async Task One_that_has_left_is_waited_for_no_more()
    {
        var rendezvous = new Rendezvous(2);
        await RunAsync(rendezvous, 2, static _ => { });
        bool wasAlone = false;

        await RunAsync(rendezvous, 1, _ =>
        {
            rendezvous.Enter();
            wasAlone = true;
            rendezvous.Exit();
        });

        Assert.True(wasAlone);
    }
}
