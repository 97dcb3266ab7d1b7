namespace Scuse.Engine.Backstores;

/// <summary>
/// How much memory the data areas of all logical units may hold together, and who gets it when it is short. It is counted where a region grows beyond all that it
/// ever touched; commands that find room in what their region holds already meet none of this.
/// </summary>
/// <remarks>
/// <para>When there is no more, first what lies free at other regions' ends is given back to the system. If that is not enough, the region's commands wait, and:</para>
/// <list type="number">
/// <item>A region with nothing in use gets what one command needs, at once, whatever the others hold and for however long they hold it. So no logical unit
/// waits for another one's handler, and nothing can wait in a circle. It is why the limit may be exceeded: by one command for each logical unit at most.</item>
/// <item>Regions that wait are served in the order in which they began to; each gets one growth, then stands at the end of the line again.</item>
/// <item>While somebody waits, a region whose commands hold its fair share (the limit divided by the regions that hold memory) gets no more. So what the greedy ones
/// hold beyond it comes free as their commands end.</item>
/// </list>
/// <para>Memory not needed for 5 to 10 seconds is given back: the free end of a region in use, all of one that is not, and its command ring. No more than
/// <see cref="GiveBackPerTickBytes"/> a tick, so that the reactor never stands still for it. Touched only by the owning reactor.</para>
/// </remarks>
sealed class DataMemory
{
    /// <summary>The most that is given back in one tick for not being needed, over all regions, in bytes.</summary>
    public const long GiveBackPerTickBytes = 16 << 20;

    /// <summary>What was not needed in the current window and in the one before is given back; in milliseconds.</summary>
    public const int WindowMs = 5_000;

    // For a single block wanted more is given back at once, so that not every block costs a call.
    const long ReclaimBytes = 1 << 20;

    readonly Action<Action> _post;
    readonly Action _serve;
    readonly List<RegionMemory> _holding = [];
    readonly LinkedList<RegionMemory> _line = new();
    readonly LinkedList<RegionMemory> _greedy = new(); // have their fair share and want more; asked again when the line is empty
    int _sharers; // how many of _holding hold blocks
    int _next; // where among _holding the next giving back starts, so that all get their turn
    RegionMemory? _served;
    bool _hasServedAsked;
    bool _isServing; // or about to
    bool _isNothingFree; // no region had a free tail when last looked, and none has got one since

    /// <param name="limitBytes">The limit.</param>
    /// <param name="nowMs">The time, on the reactor's clock.</param>
    /// <param name="post">Has the owning reactor run something soon.</param>
    public DataMemory(long limitBytes, long nowMs, Action<Action> post)
    {
        LimitBytes = limitBytes;
        NowMs = nowMs;
        _post = post;
        _serve = Serve;
    }

    /// <summary>The limit in bytes.</summary>
    public long LimitBytes { get; }

    /// <summary>How many bytes all regions hold together.</summary>
    public long HeldBytes { get; private set; }

    /// <summary>The time of the last tick.</summary>
    public long NowMs { get; private set; }

    /// <summary>Whether a region's commands wait for memory.</summary>
    public bool SomebodyWaits => _line.First is not null;

    /// <summary>How many regions' commands wait for memory.</summary>
    public int Waiting => _line.Count + _greedy.Count;

    /// <summary>Whether it matters now that a region's tail comes free.</summary>
    public bool IsTight => _isNothingFree || _line.First is not null || _greedy.First is not null;

    // ---- growing ----

    /// <summary>Whether a region may take so much for a command. What it has to grow by is added to its share.</summary>
    public bool TryGrant(RegionMemory region, long commandBytes, long growthBytes)
    {
        _hasServedAsked |= region == _served;
        bool isAlone = region.InUseBytes == 0;
        if (!isAlone && DoOthersWait(region))
        {
            if (region.InUseBytes + commandBytes > LimitBytes / Math.Max(1, _sharers))
            {
                Wait(region, _greedy);
                return false;
            }

            if (growthBytes > 0 && region != _served)
            {
                Wait(region, _line);
                return false;
            }
        }

        if (growthBytes == 0)
        {
            return true;
        }

        if (HeldBytes + growthBytes > LimitBytes)
        {
            Reclaim(HeldBytes + growthBytes - LimitBytes, region);
            if (HeldBytes + growthBytes > LimitBytes && !isAlone)
            {
                Wait(region, _line);
                return false;
            }
        }

        Grow(region, growthBytes);
        LeaveLine(region);
        if (region == _served)
        {
            _served = null; // one growth each
        }

        return true;
    }

    bool DoOthersWait(RegionMemory region) => _line.Count > (region.Place?.List == _line ? 1 : 0);

    /// <summary>Adds to a region's share, limit or not.</summary>
    public void Grow(RegionMemory region, long bytes)
    {
        if (region.HeldBytes == 0)
        {
            _sharers++;
        }

        HeldBytes += bytes;
        HoldsSomething(region);
    }

    /// <summary>A region has touched memory that it will give back some day.</summary>
    public void HoldsSomething(RegionMemory region)
    {
        if (region.Index < 0)
        {
            region.Index = _holding.Count;
            _holding.Add(region);
        }
    }

    /// <summary>Puts a region at the end of a line where it does not stand already.</summary>
    static void Wait(RegionMemory region, LinkedList<RegionMemory> line)
    {
        LinkedListNode<RegionMemory> place = region.Place ??= new LinkedListNode<RegionMemory>(region);
        if (place.List != line)
        {
            place.List?.Remove(place);
            line.AddLast(place);
        }
    }

    /// <summary>The region waits no longer.</summary>
    public void LeaveLine(RegionMemory region)
    {
        if (region.Place is { List: { } line } place)
        {
            line.Remove(place);
            if (_line.First is null)
            {
                ServeLater(); // the greedy ones' time has come
            }
        }
    }

    // ---- giving back ----

    /// <summary>A region has given memory back.</summary>
    public void Shrank(RegionMemory region, long bytes)
    {
        HeldBytes -= bytes;
        if (bytes > 0 && region.HeldBytes == 0)
        {
            _sharers--;
        }

        if (!region.HoldsAnything)
        {
            Drop(region);
        }
    }

    /// <summary>A region is gone, with all that it held.</summary>
    public void Leave(RegionMemory region)
    {
        LeaveLine(region);
        if (region.Index >= 0)
        {
            HeldBytes -= region.HeldBytes;
            _sharers -= region.HeldBytes > 0 ? 1 : 0;
            Drop(region);
        }

        ServeLater();
    }

    void Drop(RegionMemory region)
    {
        RegionMemory last = _holding[^1];
        _holding[region.Index] = last;
        last.Index = region.Index;
        _holding.RemoveAt(_holding.Count - 1);
        region.Index = -1;
    }

    /// <summary>A region's last touched blocks have come free, while that <see cref="IsTight">matters</see>.</summary>
    public void TailIsFree()
    {
        _isNothingFree = false;
        ServeLater();
    }

    void ServeLater()
    {
        if (Waiting > 0 && !_isServing)
        {
            _isServing = true;
            _post(_serve);
        }
    }

    /// <summary>Lets those who wait ask again, in their order, until one cannot be given what it needs.</summary>
    void Serve()
    {
        _isServing = false;
        while (_line.First?.Value is { } region) // with each turn somebody grows or leaves the line, or it ends
        {
            _served = region;
            _hasServedAsked = false;
            region.Retry();
            _served = null;
            if (_line.First?.Value != region)
            {
                continue; // it got something, or stands with the greedy now
            }

            if (_hasServedAsked)
            {
                return; // for it, all others wait
            }

            LeaveLine(region); // it wants nothing any more
        }

        while (_line.First is null && _greedy.First?.Value is { } region)
        {
            LeaveLine(region);
            region.Retry();
        }
    }

    void Reclaim(long bytes, RegionMemory forWhom)
    {
        bytes = Math.Max(bytes, ReclaimBytes);
        for (int i = _holding.Count; i > 0 && bytes > 0 && !_isNothingFree; i--)
        {
            RegionMemory region = Next();
            if (region != forWhom)
            {
                bytes -= region.GiveBackTail(bytes);
            }
        }

        _isNothingFree = bytes > 0;
    }

    /// <summary>To be called some times a second: gives back what is not needed any more.</summary>
    public void Tick(long nowMs)
    {
        NowMs = nowMs;
        _isNothingFree = false;
        long bytes = GiveBackPerTickBytes;
        for (int i = _holding.Count; i > 0; i--)
        {
            bytes -= Next().GiveBackUnneeded(nowMs, WindowMs, bytes);
        }

        ServeLater();
    }

    RegionMemory Next()
    {
        _next = _next > 0 && _next <= _holding.Count ? _next - 1 : _holding.Count - 1; // downwards: one that leaves has had its turn
        return _holding[_next];
    }
}
