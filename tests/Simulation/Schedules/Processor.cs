extern alias Traced;
using Traced::Scuse.Ring;

namespace Scuse.Simulation.Schedules;

/// <summary>
/// One processor with its own view of the shared memory. A store is seen by its own processor at once and by the other when it is committed; a load
/// sees what the processor has heard of. How little the real ones promise is taken as far as it goes:
/// </summary>
/// <remarks>
/// <list type="bullet">
/// <item>Plain stores are held back until the next release store or fence, those to the mailbox at will also committed at once.</item>
/// <item>A release store commits everything before it; it is itself committed at once, or at will held back until the next release store, fence or sleep
/// (the store buffer of x86, which lets a later load go first).</item>
/// <item>Loads of the mailbox see what is committed. All other plain loads see the memory as it was at the last acquire load or fence, which is what a
/// processor with a weak order may do; an acquire load sees everything that is committed.</item>
/// <item>A fence commits everything and sees everything. So does going to sleep, for what was stored.</item>
/// </list>
/// </remarks>
sealed class Processor(TracedMemory view, CommittedMemory committed)
{
    readonly record struct Store(int Offset, byte[] Bytes)
    {
        public bool Overlaps(long offset, int length) => Offset < offset + length && offset < Offset + Bytes.Length;
    }

    readonly List<Store> _heldBack = [];
    (int Offset, int Length, bool CommitAtOnce)? _latest;
    long _seenVersion = -1;

    public TracedMemory View => view;

    /// <summary>To be called when the store that was announced has been done: at the processor's next access, before anybody else runs.</summary>
    public void StoreIsDone()
    {
        if (_latest is not { } store)
        {
            return;
        }

        _latest = null;
        byte[] bytes = view.Bytes.Slice(store.Offset, store.Length).ToArray();
        if (store.CommitAtOnce)
        {
            // What one processor stores in one place is seen in that order by all.
            _heldBack.RemoveAll(older => older.Overlaps(store.Offset, store.Length));
            committed.Store(store.Offset, bytes);
        }
        else
        {
            _heldBack.Add(new Store(store.Offset, bytes));
        }
    }

    public void WillStore(long offset, int length, bool commitAtOnce) => _latest = ((int)offset, length, commitAtOnce);

    public void CommitAll()
    {
        foreach (Store store in _heldBack)
        {
            committed.Store(store.Offset, store.Bytes);
        }

        _heldBack.Clear();
    }

    /// <summary>Hears of everything that is committed.</summary>
    public void SeeAll()
    {
        if (_seenVersion == committed.Version)
        {
            return;
        }

        _seenVersion = committed.Version;
        committed.Bytes.CopyTo(view.Bytes);
        foreach (Store store in _heldBack)
        {
            store.Bytes.CopyTo(view.Bytes[store.Offset..]);
        }
    }

    /// <summary>Hears of one place; what it has stored there itself comes before that.</summary>
    public void See(long offset, int length)
    {
        foreach (Store store in _heldBack)
        {
            if (store.Overlaps(offset, length))
            {
                return;
            }
        }

        committed.Bytes.Slice((int)offset, length).CopyTo(view.Bytes[(int)offset..]);
    }
}

/// <summary>What all processors agree on.</summary>
sealed class CommittedMemory(RingLayout layout)
{
    readonly byte[] _bytes = new byte[layout.RegionBytes];

    public long Version { get; private set; }

    public Span<byte> Bytes => _bytes;

    public void Store(int offset, byte[] bytes)
    {
        bytes.CopyTo(_bytes, offset);
        Version++;
    }
}
