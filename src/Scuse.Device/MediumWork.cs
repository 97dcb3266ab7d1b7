using Scuse.Scsi;

namespace Scuse.Device;

/// <summary>A command that has the whole medium written.</summary>
public enum MediumWorkKind
{
    /// <summary>FORMAT UNIT. SBC-3 clauses 4.30 and 5.3.</summary>
    Format,

    /// <summary>SANITIZE that EXIT FAILURE MODE gets out of when it fails: AUSE was set. SBC-3 clause 4.11.</summary>
    UnrestrictedSanitize,

    /// <summary>SANITIZE that only another one gets out of when it fails.</summary>
    RestrictedSanitize,
}

/// <summary>
/// A FORMAT UNIT or a SANITIZE: it writes the whole medium, once or several times, while other commands are refused and told how far it is. It goes on whatever becomes
/// of the command that asked for it, and ends either with the medium as it was asked for or with a unit that says that it has failed: never half done in silence.
/// </summary>
/// <remarks>
/// A device that loses its handler answers late or with an error: late, the work goes on; with an error, it has failed. The end of the process that does the work ends it;
/// where there is a store, the unit comes up as one where it has failed, and where there is none, nothing says that the medium was left as far as the work had come.
/// </remarks>
/// <param name="device">The device.</param>
/// <param name="kind">What it is.</param>
/// <param name="passes">
/// What is written, pass after pass: the content of every block, or null for zeros, in whichever way the device stores them fastest.
/// </param>
sealed class MediumWork(IBlockDevice device, MediumWorkKind kind, IReadOnlyList<byte[]?> passes)
{
    /// <summary>What one call has a device fill with zeros: little enough that it answers soon, and that progress is seen.</summary>
    const long ZeroBytesAtATime = 64L << 20;

    readonly TaskCompletionSource<ScsiResult> _completion = new();

    // Written by the work, read by commands, which may come on other threads.
    long _doneBytes;
    volatile bool _hasFailed;
    volatile bool _isToStop;

    /// <summary>Whether it has ended, and not well.</summary>
    public bool HasFailed => _hasFailed;

    /// <summary>What it is.</summary>
    public MediumWorkKind Kind => kind;

    /// <summary>Ends when the work does.</summary>
    public Task Completion => _completion.Task;

    /// <summary>What commands are told that have to wait for it, or that find the medium as its failure has left it.</summary>
    public SenseData Sense => (_hasFailed, kind) switch
    {
        (false, MediumWorkKind.Format) => new SenseData(SenseKey.NotReady, AdditionalSense.FormatInProgress) { Progress = Progress },
        (false, _) => new SenseData(SenseKey.NotReady, AdditionalSense.SanitizeInProgress) { Progress = Progress },
        (true, MediumWorkKind.Format) => new SenseData(SenseKey.MediumError, AdditionalSense.FormatCommandFailed),
        (true, _) => new SenseData(SenseKey.MediumError, AdditionalSense.SanitizeCommandFailed),
    };

    /// <summary>How much is done, in 65,536ths. SPC-4 clause 4.5.2.4.4.</summary>
    ushort Progress
    {
        get
        {
            UInt128 total = (UInt128)Math.Max(1, device.Info.SizeBytes) * (uint)passes.Count;
            return (ushort)UInt128.Min((UInt128)Volatile.Read(ref _doneBytes) * 65536 / total, ushort.MaxValue);
        }
    }

    /// <summary>
    /// Whether a command is done all the same. After a failed FORMAT UNIT everything is that does not access the medium; otherwise only what says of itself that it is.
    /// SBC-3 clauses 4.11.2, 4.11.3 and 5.3.1.
    /// </summary>
    public bool Admits(CommandNeeds needs) =>
        (needs & CommandNeeds.IgnoresMediumWork) != 0
        || (_hasFailed && (needs & CommandNeeds.StartsMediumWork) != 0 && (kind == MediumWorkKind.Format || (needs & CommandNeeds.Sanitizes) != 0))
        || (_hasFailed && kind == MediumWorkKind.Format && (needs & CommandNeeds.Medium) == 0);

    /// <summary>Does the work. The result is true when the medium is as it was asked for.</summary>
    public async Task<bool> RunAsync()
    {
        try
        {
            foreach (byte[]? block in passes)
            {
                if (!await (block is null ? WriteZeroesAsync() : WriteAsync(block)).ConfigureAwait(false) || !await FlushAsync().ConfigureAwait(false))
                {
                    return false;
                }
            }

            return true;
        }
#pragma warning disable CA1031 // Whatever broke it: the medium is not what was asked for, and that is what commands are told.
        catch (Exception)
#pragma warning restore CA1031
        {
            return false;
        }
    }

    /// <summary>It has come to its end: a command that waits for it is answered.</summary>
    public void End(bool wellDone)
    {
        _hasFailed = !wellDone;
        _completion.SetResult(wellDone ? ScsiResult.Good : ScsiResult.Check(Sense));
    }

    /// <summary>How the command ends that asked for the work and waits for it: with the work, or sooner when it is aborted. Goes on on the thread where that happens.</summary>
    public Task<ScsiResult> WaitAsync(CancellationToken aborted)
    {
        if (!aborted.CanBeCanceled)
        {
            return _completion.Task;
        }

        TaskCompletionSource<ScsiResult> answer = new();
        CancellationTokenRegistration registration = aborted.UnsafeRegister(
            static answer => ((TaskCompletionSource<ScsiResult>)answer!).TrySetResult(ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None)), answer);
        _completion.Task.ContinueWith(
            ended =>
            {
                registration.Unregister();
                answer.TrySetResult(ended.Result);
            },
            CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
        return answer.Task;
    }

    /// <summary>Has the work fail soon, because its device is about to be closed.</summary>
    public void Stop() => _isToStop = true;

    async Task<bool> WriteAsync(byte[] block)
    {
        BlockDeviceInfo info = device.Info;
        using WorkBuffer work = await device.RentAsync(BlockLimits.WorkLength(info, info.SizeBytes), CancellationToken.None).ConfigureAwait(false);
        int workLength = BlockLimits.WorkLength(info, info.SizeBytes);
        DataBuffer pattern = work.Data.Slice(0, workLength);
        BufferComparison.FillWithRepeated(pattern, new DataBuffer(block));

        // The size is looked up each time: a device that grows meanwhile is written to its new end.
        for (long at = 0; at < device.Info.SizeBytes;)
        {
            int length = (int)Math.Min(workLength, device.Info.SizeBytes - at);
            ScsiResult written = await device.WriteAsync(at, pattern.Slice(0, length), forceUnitAccess: false, CancellationToken.None).ConfigureAwait(false);
            if (!written.IsGood || _isToStop)
            {
                return false;
            }

            at += length;
            Volatile.Write(ref _doneBytes, _doneBytes + length);
        }

        return true;
    }

    async Task<bool> WriteZeroesAsync()
    {
        bool canWriteZeroes = device.Info.Has(BlockDeviceFeatures.WriteZeroes), canUnmap = device.Info.Has(BlockDeviceFeatures.Unmap);
        if (!canWriteZeroes && !canUnmap)
        {
            return await WriteAsync(new byte[device.Info.BlockSize]).ConfigureAwait(false);
        }

        long most = Math.Min(ZeroBytesAtATime, (long)BlockLimits.MaxWriteSameBlocks(device.Info) * device.Info.BlockSize); // what a device server behind the device does at most
        for (long at = 0; at < device.Info.SizeBytes;)
        {
            long length = Math.Min(most, device.Info.SizeBytes - at);
            ScsiResult written = canWriteZeroes
                ? await device.WriteZeroesAsync(at, length, mayUnmap: canUnmap, CancellationToken.None).ConfigureAwait(false)
                : await device.UnmapAsync(at, length, CancellationToken.None).ConfigureAwait(false);
            if (!written.IsGood || _isToStop)
            {
                return false;
            }

            at += length;
            Volatile.Write(ref _doneBytes, _doneBytes + length);
        }

        return true;
    }

    async ValueTask<bool> FlushAsync() =>
        !device.Info.Has(BlockDeviceFeatures.Flush) || (await device.FlushAsync(CancellationToken.None).ConfigureAwait(false)).IsGood;
}
