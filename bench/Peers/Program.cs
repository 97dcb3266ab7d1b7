using Scuse.Bench.Peers;
using Scuse.Peers;

if (args is [InProcessServer.Command, var size])
{
    return await InProcessServer.RunAsync(size);
}

Options? options = Options.Parse(args, out string? mistake);
if (options is null)
{
    await Console.Error.WriteLineAsync(mistake);
    await Console.Error.WriteLineAsync(Options.Usage);
    return 2;
}

try
{
    Requirements.Check(withTgt: !options.Allocations && !options.Reactors);
    return options.Reactors ? await SeveralReactors.RunAsync(options)
        : options.Allocations ? await AllocationCheck.RunAsync() : await Comparison.RunAsync(options);
}
catch (PeerException exception)
{
    await Console.Error.WriteLineAsync(exception.Message);
    return 1;
}
