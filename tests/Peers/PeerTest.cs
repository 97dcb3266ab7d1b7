namespace Scuse.Peers;

/// <summary>
/// A test that starts engines and lets real initiators at them: what it started is ended with it, and the engines' logs are shown when it fails.
/// </summary>
public abstract class PeerTest : IAsyncLifetime
{
    readonly List<ScuseServe> _started = [];
    readonly string _folder = Directory.CreateTempSubdirectory("scuse-peers-").FullName;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync()
    {
        bool failed = TestContext.Current.TestState?.Result == TestResult.Failed;
        foreach (ScuseServe serve in _started)
        {
            if (failed)
            {
                TestContext.Current.TestOutputHelper?.WriteLine($"Log of scuse serve at {serve.Portal}:\n{serve.Log}");
            }

            serve.Dispose();
        }

        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    /// <summary>Starts <c>scuse serve</c> on a free port with a target name of its own.</summary>
    internal Task<ScuseServe> ServeAsync(params string[] arguments) => ServeAsync(null, arguments);

    /// <summary>The same, with variables in the engine's environment.</summary>
    internal async Task<ScuseServe> ServeAsync(IReadOnlyDictionary<string, string>? environment, params string[] arguments)
    {
        ScuseServe serve = await ScuseServe.StartAsync(arguments, environment);
        _started.Add(serve);
        return serve;
    }

    /// <summary>A path in a folder that is deleted after the test.</summary>
    internal string TemporaryFile(string name) => Path.Combine(_folder, name);

    /// <summary>A file of random bytes, the same for each seed.</summary>
    internal string RandomFile(string name, int sizeBytes, int seed)
    {
        byte[] bytes = new byte[sizeBytes];
        new Random(seed).NextBytes(bytes);
        string path = TemporaryFile(name);
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
