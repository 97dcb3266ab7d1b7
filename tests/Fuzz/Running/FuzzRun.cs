using System.Diagnostics;

namespace Scuse.Fuzz.Running;

/// <summary>What is to be done to one target.</summary>
/// <param name="Inputs">How many inputs.</param>
/// <param name="Seed">What decides them.</param>
/// <param name="CorpusFolder">Where the first ones come from.</param>
/// <param name="ResultsFolder">Where findings go.</param>
/// <param name="HangSeconds">How long one input may take.</param>
/// <param name="Race">Whether a second thread writes to the memory in the last part.</param>
sealed record FuzzPlan(long Inputs, ulong Seed, string CorpusFolder, string ResultsFolder, int HangSeconds, bool Race);

/// <summary>Feeds a target: first the corpus as it is, then what the mutator makes of it.</summary>
/// <remarks>
/// A finding is an exception, a crash (memory is between guard pages, and the inputs are in a mapped file), an input that does not end, and memory that grows. The last
/// sixteenth of the inputs is executed while a second thread writes to the memory, for targets that know that.
/// </remarks>
sealed class FuzzRun(FuzzTarget target, FuzzPlan plan, TextWriter output)
{
    const int RacedPart = 16;
    const int MaxReached = 1 << 14;

    // Its memory is taken once.
    readonly HashSet<ulong> _reached = new(MaxReached);
    string _command = "";

    // Counts executions started; the watchdog looks whether it moves. -1: done.
    long _started;

    /// <summary>Runs to the end. True when nothing was found.</summary>
    public bool Run()
    {
        _command = $"tests/Fuzz/run --target {target.Name} --inputs {plan.Inputs} --seed {plan.Seed}";
        output.WriteLine($"{target.Name}: {plan.Inputs:n0} inputs, seed {plan.Seed}");
        Directory.CreateDirectory(plan.ResultsFolder);
        var pool = new InputPool(target.MaxInputBytes);
        foreach (byte[] input in Corpus.Load(Path.Combine(plan.CorpusFolder, target.Name)))
        {
            pool.AddFixed(input);
        }

        using var journal = new Journal(Path.Combine(plan.ResultsFolder, $"{target.Name}.current"), target.InputsPerReset, target.MaxInputBytes);
        output.WriteLine($"{target.Name}: if the process crashes: tests/Fuzz/run --target {target.Name} --replay {journal.Path}");
        output.Flush();
        using Timer watchdog = Watch(journal);
        try
        {
            return Feed(pool, journal);
        }
        finally
        {
            Interlocked.Exchange(ref _started, -1);
        }
    }

    /// <summary>Executes the inputs of a finding again. True when nothing was found this time.</summary>
    public bool Replay(string file)
    {
        (bool race, List<byte[]> inputs) = Journal.Load(file);
        using Racer? racer = race ? new Racer(target, plan.Seed) : null;
        for (int attempt = 0; attempt < (race ? 100_000 : 1); attempt++)
        {
            target.Reset();
            racer?.Arm();
            try
            {
                foreach (byte[] input in inputs)
                {
                    target.Execute(input);
                    racer?.Disarm();
                    target.Settle();
                    racer?.Arm();
                }
            }
#pragma warning disable CA1031 // whatever it throws is the finding
            catch (Exception exception)
#pragma warning restore CA1031
            {
                output.WriteLine($"{target.Name}: {exception}");
                return false;
            }
            finally
            {
                racer?.Disarm();
            }
        }

        output.WriteLine($"{target.Name}: {inputs.Count} inputs did no harm{(race ? ", although another thread wrote to the memory; what it wrote when is not the same again" : "")}");
        return true;
    }

    bool Feed(InputPool pool, Journal journal)
    {
        var mutator = new Mutator(pool, target.Dictionary);
        long corpus = pool.Count;
        long raceFrom = target.HasRace && plan.Race ? plan.Inputs - (plan.Inputs / RacedPart) : plan.Inputs;
        long settledAt = plan.Inputs / 5;
        MemoryUse settled = default;
        Stopwatch clock = Stopwatch.StartNew();
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        using Racer? second = raceFrom < plan.Inputs ? new Racer(target, plan.Seed) : null;
        Racer? racer = null;
        for (long i = 0; i < plan.Inputs; i++)
        {
            if (i > 0 && i % 1_000_000 == 0)
            {
                output.WriteLine($"{target.Name}: {i:n0} after {clock.Elapsed.TotalSeconds:0} s");
                output.Flush();
            }

            if (i == settledAt)
            {
                settled = MemoryUse.Now();
            }

            if (i == raceFrom)
            {
                racer = second;
            }

            if (i % target.InputsPerReset == 0 || i == raceFrom)
            {
                journal.Clear(racer is not null);
                target.Reset();
            }

            // Each input's randomness hangs on its number alone.
            var random = new FuzzRandom(plan.Seed + ((ulong)i << 20));
            int length = i < corpus ? Copy(pool[(int)i], journal.Room) : mutator.Make(ref random, journal.Room);
            if (!Execute(journal, length, racer, i, pool))
            {
                return false;
            }
        }

        clock.Stop();
        target.Reset();
        MemoryUse last = MemoryUse.Now();
        target.Count();
        output.WriteLine($"{target.Name}: {plan.Inputs:n0} inputs in {clock.Elapsed.TotalSeconds:0.0} s, {(Environment.CpuUsage.TotalTime - cpu).TotalSeconds:0.0} s of processor time, of which {plan.Inputs - raceFrom:n0} raced");
        output.WriteLine($"{target.Name}: {_reached.Count} sets of things reached; {string.Join(", ", target.Tally.Select(static pair => $"{pair.Key} {pair.Value:n0}"))}");
        if (target.Remark is { } remark)
        {
            output.WriteLine($"{target.Name}: {remark}");
        }

        output.WriteLine($"{target.Name}: memory after a fifth: {settled}; at the end: {last}");
        if (last.GrownSince(settled) is { } grown)
        {
            output.WriteLine($"{target.Name}: FOUND: memory is not flat: {grown}; again with: {_command}");
            return false;
        }

        return true;
    }

    bool Execute(Journal journal, int length, Racer? racer, long number, InputPool pool)
    {
        ReadOnlySpan<byte> input = journal.Commit(length);
        Interlocked.Increment(ref _started);
        try
        {
            racer?.Arm();
            ulong reached = target.Execute(input);
            racer?.Disarm();
            target.Settle();
            if (racer is null && _reached.Count < MaxReached && _reached.Add(reached))
            {
                pool.Add(input);
            }

            return true;
        }
#pragma warning disable CA1031 // whatever it throws is the finding
        catch (Exception exception)
#pragma warning restore CA1031
        {
            racer?.Disarm();
            string file = Path.Combine(plan.ResultsFolder, $"{target.Name}-{plan.Seed}-{number}.bin");
            journal.Save(file);
            output.WriteLine($"{target.Name}: FOUND at input {number:n0}: {exception}");
            output.WriteLine($"{target.Name}: once more: tests/Fuzz/run --target {target.Name} --replay {file}");
            output.WriteLine($"{target.Name}: the whole run: {_command}");
            return false;
        }
    }

    /// <summary>An input that does not end cannot be stopped: the process is.</summary>
    Timer Watch(Journal journal)
    {
        long seen = 0;
        int still = 0;
        return new Timer(
            _ =>
            {
                long now = Interlocked.Read(ref _started);
                still = now == seen && now > 0 ? still + 1 : 0;
                seen = now;
                if (still < plan.HangSeconds)
                {
                    return;
                }

                string file = Path.Combine(plan.ResultsFolder, $"{target.Name}-{plan.Seed}-hang.bin");
                journal.Save(file);
                output.WriteLine($"{target.Name}: FOUND: an input did not end within {plan.HangSeconds} s");
                output.WriteLine($"{target.Name}: once more: tests/Fuzz/run --target {target.Name} --replay {file}");
                output.Flush();
                Environment.Exit(FuzzCommand.Found);
            },
            state: null,
            dueTime: 1000,
            period: 1000);
    }

    static int Copy(ReadOnlySpan<byte> input, Span<byte> into)
    {
        input.CopyTo(into);
        return input.Length;
    }
}
