namespace Scuse.Fuzz.Running;

/// <summary>A second thread that writes to a target's memory while the target reads it: what is read twice may differ.</summary>
sealed unsafe class Racer : IDisposable
{
    readonly FuzzTarget _target;
    readonly Thread _thread;
    readonly ManualResetEventSlim _wanted = new();
    volatile bool _ending;
    volatile bool _armed;
    volatile bool _busy;

    public Racer(FuzzTarget target, ulong seed)
    {
        _target = target;
        _thread = new Thread(() => Run(new FuzzRandom(seed))) { Name = "racer", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Writes from now on.</summary>
    public void Arm()
    {
        _target.IsRacing = true;
        _armed = true;
        _wanted.Set();
    }

    /// <summary>Returns once nothing is written any more.</summary>
    public void Disarm()
    {
        _armed = false;
        _wanted.Reset();
        Interlocked.MemoryBarrier(); // disarmed is seen before busy is looked at; pairs with the fence in Run
        SpinWait spin = default;
        while (_busy)
        {
            spin.SpinOnce(sleep1Threshold: -1);
        }

        _target.IsRacing = false;
    }

    void Run(FuzzRandom random)
    {
        while (!_ending)
        {
            _wanted.Wait();
            _busy = true;
            Interlocked.MemoryBarrier(); // busy is seen before armed is looked at; pairs with the fence in Disarm
            while (_armed)
            {
                (nint start, int length) = _target.Raced;
                if (length >= sizeof(ulong))
                {
                    Write(ref random, (byte*)start, length);
                }
            }

            _busy = false;
        }
    }

    static void Write(ref FuzzRandom random, byte* start, int length)
    {
        for (int i = 0; i < 16; i++)
        {
            // Half of it where it hurts: the mailbox's second line, where the tail is, and small numbers, as ids and lengths are.
            ulong what = random.Next();
            int at = (what & 1) == 0 ? 64 : random.Below(length - sizeof(ulong));
            uint value = (what & 2) == 0 ? (uint)(what >> 56) : (uint)(what >> 32);
            *(uint*)(start + (at & ~3)) = (what & 4) == 0 ? value * 8 : value;
        }
    }

    public void Dispose()
    {
        _ending = true;
        _armed = false;
        _wanted.Set();
        _thread.Join();
        _wanted.Dispose();
    }
}
