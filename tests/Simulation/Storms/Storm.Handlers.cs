using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Device;
using Scuse.Engine;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Ring;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Simulation.Storms;

/// <remarks>Handlers and their supervisor.</remarks>
sealed partial class Storm
{
    void HandlersRun()
    {
        if (_random.Next(4) == 0)
        {
            _medium.WriteBack(_random.Next(StormOptions.Blocks));
        }

        foreach (HandlerProcess process in _processes)
        {
            if (process == _attached || _random.Next(3) == 0)
            {
                process.Run(all: false);
            }

            if (process != _attached && process.Links.All(static link => link.Users == 0) && _random.Next(10) == 0)
            {
                process.WriteLate();
            }
        }

        if (_attached is { IsStopped: false, IsDead: false, IsHostile: false } current && current.HasKept && _random.Next(3) == 0)
        {
            (HandlerLink link, ushort id) = current.TakeKept();
            _reactor.Turn(0);
            if (id != 0 && _attached == current)
            {
                Alone(() => _backstore.FreeKept(link, [id]));
            }
        }
    }

    /// <summary>As the supervisor does it: a next handler starts when the one before is dead, since its store is to be its own.</summary>
    void AttachNext()
    {
        if (_options.Fault != StormFault.StartBeforeKill && _processes.Exists(static process => !process.IsDead))
        {
            return;
        }

        if (_options.Fault == StormFault.RepeatOldWrite && _answeredWrites.Count > 20 && _random.Next(4) == 0)
        {
            (int block, ulong value) = _answeredWrites[^20];
            _medium.Write(block, value);
        }

        Attach();
    }

    void Attach()
    {
        _processes.RemoveAll(static process => process.IsDead);
        HandlerLink[] links = [.. _backstore.All.Select((_, index) =>
            new HandlerLink("storm", "storm", pid: 1, RingLayout.Create(_options.Lun.CommandRingBytes, _options.Lun.DataAreaBytes), _options.Abilities, ownMemory: null, index))];
        var process = new HandlerProcess(links, _medium, _random, _options.Fault) { IsLazy = !_isQuiet && _options.CanBeLazy && _random.Next(6) == 0 };
        Note($"a handler attaches{(process.IsLazy ? ", a lazy one" : "")}");
        Counts.Attached++;
        _processes.Add(process);
        _attached = process;
        foreach (Operation operation in _sessions.SelectMany(static session => session.Open))
        {
            operation.MetLazy |= process.IsLazy;
        }

        BlockDeviceFeatures features = BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | (_options.Seed % 2 == 0 ? BlockDeviceFeatures.WriteZeroes : 0);
        Alone(() => _backstore.Attach(links, new BlockDeviceInfo { SizeBytes = StormOptions.Blocks * StormOptions.BlockSize, BlockSize = StormOptions.BlockSize, Serial = "STORM", Features = features }, _options.Level));
    }

    /// <summary>The engine has noticed that the process is gone.</summary>
    void Gone(HandlerProcess process, string reason)
    {
        if (_attached == process)
        {
            Alone(() => _backstore.Detach(process.Link, reason));
            if (_attached == process)
            {
                _attached = null;
            }
        }
    }

    /// <summary>The backstore gave the handler up: the supervisor ends the process, some time later.</summary>
    void Dropped(HandlerLink link, string reason)
    {
        Note($"the handler is given up: {reason}");
        Counts.Dropped++;
        HandlerProcess process = _processes.Find(process => process.Link == link)!;
        if (_attached == process)
        {
            _attached = null;
        }

        After(_random.Next(300), process.Kill);
        if (_options.Fault == StormFault.StartBeforeKill)
        {
            AttachNext();
        }
    }

    /// <summary>A next handler takes over; the old one ends when it has answered everything.</summary>
    void Replace(HandlerProcess old)
    {
        Note("the handler is to be replaced");
        _replacing = true;
        UserBackstore backstore = _backstore;
        bool isOver = false;
        Alone(() => backstore.Settle(() => After(0, () =>
        {
            if (!isOver && backstore == _backstore)
            {
                Alone(() => backstore.Drain(() => After(0, Pass)));
            }
        })));
        After(_random.Next(200, 3_000), () =>
        {
            if (!isOver && backstore == _backstore)
            {
                Note("the replacement is called off");
                isOver = true;
                _replacing = false;
                Alone(backstore.Resume);
            }
        });

        void Pass()
        {
            if (isOver || backstore != _backstore)
            {
                return;
            }

            isOver = true;
            _replacing = false;
            if (_attached == old)
            {
                // It has answered everything and closes its store.
                old.Kill();
                Alone(() => _backstore.Detach(old.Link, "replaced", asPlanned: true));
                _attached = null;
                Attach();
                Counts.Replaced++;
            }
            else
            {
                Alone(backstore.Resume);
            }
        }
    }

    /// <summary>The engine is killed, and its handlers with it or after they have finished what they had; or the machine loses power, and the disk its cache.</summary>
    void RestartEngine()
    {
        bool losesPower = _options.HasCache && _random.Next(2) == 0;
        Note(losesPower ? "the power fails" : "the engine is killed");
        Counts.Restarts++;
        foreach (Session session in _sessions.ToArray())
        {
            foreach (Operation operation in session.Open)
            {
                operation.IsTold = true;
                operation.Task = null;
                _limbo.Add(operation);
            }
        }

        _sessions.Clear();
        _later.Clear();
        _replacing = false;
        _openManagement.Clear();
        foreach (HandlerProcess process in _processes)
        {
            process.IsStopped = false;
            process.Run(all: !losesPower && _random.Next(2) == 0);
            process.Kill();
        }

        if (losesPower)
        {
            _medium.LoseCache();
            _exchanged.Clear(); // what was replaced may be there again
            Array.ForEach(_history, static history => history.CacheIsLost());
        }

        _processes.Clear();
        _attached = null;
        foreach (Operation operation in _limbo)
        {
            End(operation, Ending.Unknown);
        }

        _limbo.Clear();
        _reactor.Dispose();
        StartEngine();
    }
}
