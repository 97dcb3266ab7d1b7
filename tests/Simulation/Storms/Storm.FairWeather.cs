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

/// <remarks>How all ends well: quiet, and what has to be so then.</remarks>
sealed partial class Storm
{
    /// <summary>Nothing goes wrong any more: everything under way is answered in bounded time, nothing stays in use, and every block reads as it must.</summary>
    void BecomeQuiet()
    {
        _isQuiet = true;
        Note("fair weather");
        Alone(_backstore.Unblock);
        foreach (HandlerProcess process in _processes)
        {
            process.IsStopped = false;
        }

        if (_attached is { } hostile && (hostile.IsHostile || hostile.IsLazy || hostile.IsDead))
        {
            hostile.Kill();
            Gone(hostile, "killed by the operator");
        }

        long deadline = _now + 30_000;
        while (IsBusy())
        {
            if (_now > deadline)
            {
                throw new StormException($"in fair weather this is left after 30 s: {Describe()}");
            }

            CalmStep();
        }

        // What was under way without anybody waiting for it is over too.
        foreach (Operation operation in _limbo)
        {
            End(operation, Ending.Unknown);
        }

        _limbo.Clear();
        CheckAtRest();
        ReadEverything();
        CheckAtRest();
        CheckThatMemoryIsGivenBack();
        Counts.Quiets++;
        _isQuiet = false;
    }

    void CalmStep()
    {
        foreach (Session session in _sessions)
        {
            foreach (Operation operation in session.Open.Where(static operation => operation.IsDataWanted).ToArray())
            {
                if (operation.IsDataWanted)
                {
                    BringData(operation, all: true);
                }
            }

            while (session.Sending.Count > 0)
            {
                FinishSending(session, 0);
            }
        }

        foreach (HandlerProcess process in _processes)
        {
            process.Run(all: true);
        }

        Turn();
        if (_attached is { } current && current.HasKept)
        {
            (HandlerLink link, ushort id) = current.TakeKept();
            _reactor.Turn(0);
            if (id != 0 && _attached == current)
            {
                Alone(() => _backstore.FreeKept(link, [id]));
            }
        }

        if (_attached is null)
        {
            AttachNext();
        }

        PassTime(10);
        Turn();
    }

    bool IsBusy() =>
        _attached is not { IsHostile: false, IsDead: false } || _attached.Links.Any(static link => link.Outstanding > 0) || _attached.HasWork || _attached.HasKept || _replacing
        || _later.Count > 0 || _backstore.All.Any(static each => each.Waiting > 0) || _backstore.All.Any(static each => each.Kept > 0) || _target.LogicalUnits.First().TaskCount > 0
        || _sessions.Exists(static session => session.Open.Count > 0 || session.Sending.Count > 0)
        || _processes.Exists(process => process != _attached && !process.IsDead);

    string Describe() =>
        $"{string.Join(", ", _sessions.SelectMany(static session => session.Open))}; attached {_attached is not null}, outstanding {_attached?.Link.Outstanding}, " +
        $"waiting {_backstore.Waiting}, kept {_backstore.Kept}, tasks {_target.LogicalUnits.First().TaskCount}, replacing {_replacing}, draining {_backstore.IsDraining}, " +
        $"blocked {_backstore.IsBlocked}, processes {_processes.Count(static process => !process.IsDead)}, later {_later.Count}; " +
        $"{string.Join(", ", AllCommands.Where(static command => command.State != RingCommandState.Free).Select(command => $"{command.Sequence}: {command.State} {command.OutLength}/{command.InLength} {(command.Blocks.Link is null ? "without blocks" : command.Blocks.Link == _attached?.Link ? "in this region" : "in an old region")}"))}; " +
        $"memory {_memory.HeldBytes} of {_memory.LimitBytes}, {_memory.Waiting} wait, in use {_attached?.Link.Memory.InUseBytes}";

    IEnumerable<RingCommand> AllCommands => _backstore.All.SelectMany(static each => each.Commands);

    void CheckAtRest()
    {
        Turn(); // what was put off until now
        string? wrong =
            _attached!.Links.Sum(static link => link.DataArea.BlocksInUse) is not 0 and var blocks ? $"{blocks} blocks of the data areas are in use"
            : _attached.Links.Sum(static link => link.Users) is not 0 and var users ? $"{users} commands hold regions"
            : _attached.Links.Any(link => link.Ring.CommandRingBytesInUse > _options.Lun.CommandRingBytes / 2) ? "half a ring is in use"
            : AllCommands.Any(static command => command.State != RingCommandState.Free) ? $"commands are left: {string.Join(", ", AllCommands.Where(static command => command.State != RingCommandState.Free).Select(static command => command.State))}"
            : _target.Timers.Count + _lanes.Sum(static lane => lane.Timers.Count) is not 0 and var timers ? $"{timers} timers are set"
            : _openManagement.Count != 0 ? $"{_openManagement.Count} task management functions were not answered"
            : _backstore.Commands.Count > _mostUnderWay + 16 ? $"there are {_backstore.Commands.Count} command records for {_mostUnderWay} commands at most"
            : null;
        if (wrong is not null)
        {
            throw new StormException($"when all is quiet, {wrong}");
        }
    }

    /// <summary>After some seconds of rest an idle disk holds no memory.</summary>
    void CheckThatMemoryIsGivenBack()
    {
        for (int i = 0; i < 60; i++)
        {
            PassTime(250);
            Turn();
        }

        if (_memory.HeldBytes > 2 * 4096)
        {
            throw new StormException($"{_memory.HeldBytes} bytes are held by nobody");
        }
    }

    void ReadEverything()
    {
        Session session = _sessions[0];
        ReadUntilGood(session, OperationKind.Flush, 0, 0);
        for (int block = 0; block < StormOptions.Blocks; block += 10)
        {
            ReadUntilGood(session, OperationKind.Read, block, 10);
        }
    }

    void ReadUntilGood(Session session, OperationKind kind, int block, int blocks)
    {
        for (int attempt = 0; ; attempt++)
        {
            if (attempt > 10)
            {
                throw new StormException($"{kind} fails again and again in fair weather");
            }

            Operation operation = Send(session, kind, block, blocks);
            for (int i = 0; i < 100 && !operation.IsTold; i++)
            {
                CalmStep();
            }

            if (!operation.IsTold)
            {
                throw new StormException($"{operation} is not answered in fair weather");
            }

            bool isGood = operation.Kind == OperationKind.Read ? operation.Returned is { } values && values.Length == blocks : operation.IsGood;
            while (session.Sending.Count > 0)
            {
                FinishSending(session, 0);
            }

            if (isGood)
            {
                return;
            }
        }
    }
}
