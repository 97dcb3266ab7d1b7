using System.Runtime.Versioning;

[assembly: SupportedOSPlatform("linux")]

namespace Scuse.Handlers.Tests;

/// <summary>A folder of its own for a test, removed afterwards.</summary>
sealed class TempFolder : IDisposable
{
    readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("scuse-");

    public string this[string name] => Path.Combine(_folder.FullName, name);

    public void Dispose() => _folder.Delete(recursive: true);
}
