using Scuse.Handlers.File;
using Scuse.Linux;

namespace Scuse.Handlers.Tests;

public sealed class DiskThreadsTests
{
    static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task As_many_wait_at_once_as_there_may_be_threads()
    {
        DiskThreads threads = new(4);
        using Barrier all = new(4); // nobody comes through unless four are there
        await Task.WhenAll(Enumerable.Range(0, 4).Select(async _ =>
        {
            await threads;
            all.SignalAndWait(Cancelled);
        }));

        Assert.Equal(4, threads.Count);
        threads.Close();
    }

    [Fact]
    public async Task What_finds_no_thread_is_done_when_one_is_free_in_the_order_of_its_coming()
    {
        DiskThreads threads = new(1);
        using ManualResetEventSlim begin = new();
        List<int> done = [];
        Task[] tasks = [.. Enumerable.Range(0, 5).Select(async i =>
        {
            await threads;
            begin.Wait(Cancelled);
            done.Add(i); // by one thread alone
        })];
        begin.Set();
        await Task.WhenAll(tasks);

        Assert.Equal([0, 1, 2, 3, 4], done);
        Assert.Equal(1, threads.Count);
        threads.Close();
    }

    [Fact]
    public async Task Idle_threads_end_and_come_again()
    {
        DiskThreads threads = new(8, idleMs: 1);
        for (int i = 0; i < 3; i++)
        {
            await Task.WhenAll(Enumerable.Range(0, 100).Select(async _ => await threads));
            await EventuallyAsync(() => threads.Count == 0);
        }
    }

    [Fact]
    public async Task After_closing_what_is_under_way_is_done_and_no_thread_stays()
    {
        DiskThreads threads = new(2);
        await Task.WhenAll(Enumerable.Range(0, 10).Select(async _ => await threads));
        using ManualResetEventSlim begin = new();
        Task[] tasks = [.. Enumerable.Range(0, 5).Select(async _ =>
        {
            await threads;
            begin.Wait(Cancelled);
        })];
        threads.Close();
        begin.Set();
        await Task.WhenAll(tasks);

        await EventuallyAsync(() => threads.Count == 0);
    }

    [Fact]
    public async Task Who_comes_while_a_sync_runs_shares_the_next_one()
    {
        DiskThreads threads = new(4);
        using SemaphoreSlim begun = new(0), go = new(0);
        int syncs = 0;
        GroupedSync sync = new(threads, () =>
        {
            syncs++; // by one thread at a time
            begun.Release();
            go.Wait(Cancelled);
            return 0;
        });

        Task<int> first = sync.SyncAsync();
        await begun.WaitAsync(Cancelled);
        Task<int>[] others = [.. Enumerable.Range(0, 10).Select(_ => sync.SyncAsync())];
        go.Release();
        Assert.Equal(0, await first);
        await begun.WaitAsync(Cancelled); // the second
        Assert.DoesNotContain(others, task => task.IsCompleted);
        Task<int> last = sync.SyncAsync();
        go.Release();
        Assert.All(await Task.WhenAll(others), result => Assert.Equal(0, result));
        await begun.WaitAsync(Cancelled);
        Assert.False(last.IsCompleted);
        go.Release();

        Assert.Equal(0, await last);
        Assert.Equal(3, syncs);
        Assert.False(sync.HasFailed);
        threads.Close();
    }

    [Fact]
    public async Task All_of_a_group_hear_of_a_failed_sync_and_none_follows_it()
    {
        DiskThreads threads = new(4);
        using SemaphoreSlim begun = new(0), go = new(0);
        int syncs = 0;
        GroupedSync sync = new(threads, () =>
        {
            begun.Release();
            go.Wait(Cancelled);
            return ++syncs == 1 ? 0 : -Errno.ENOSPC;
        });

        Task<int> first = sync.SyncAsync();
        await begun.WaitAsync(Cancelled);
        Task<int>[] others = [.. Enumerable.Range(0, 10).Select(_ => sync.SyncAsync())];
        go.Release();
        await begun.WaitAsync(Cancelled);
        Task<int> later = sync.SyncAsync(); // waits for one that will not come
        go.Release();

        Assert.Equal(0, await first);
        Assert.All(await Task.WhenAll(others), result => Assert.Equal(-Errno.ENOSPC, result));
        Assert.Equal(-Errno.EIO, await later);
        Assert.Equal(-Errno.EIO, await sync.SyncAsync());
        Assert.Equal(2, syncs);
        Assert.True(sync.HasFailed);
        threads.Close();
    }

    static async Task EventuallyAsync(Func<bool> isSo)
    {
        for (int i = 0; i < 1000 && !isSo(); i++)
        {
            await Task.Delay(10, Cancelled);
        }

        Assert.True(isSo());
    }
}
