namespace Scuse.Kernel;

/// <summary>The <c>scuse</c> command in the guest, with the .NET runtime that these tests run on. Each call takes some seconds there.</summary>
sealed class GuestScuse
{
    const string Place = "/tmp/scuse";

    readonly Guest _guest;

    GuestScuse(Guest guest) => _guest = guest;

    /// <summary>Brings command and runtime into the guest, unless they are there.</summary>
    public static async Task<GuestScuse> PrepareAsync(Guest guest)
    {
        string shared = Path.Combine(guest.SharedFolder, "scuse");
        if (!Directory.Exists(shared))
        {
            // The folder of one version, three below the one that dotnet itself is in.
            string runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
            string version = Path.GetFileName(runtime), dotnet = Path.GetFullPath(Path.Combine(runtime, "../../.."));
            foreach (string part in (string[])["dotnet", "host/fxr", $"shared/Microsoft.NETCore.App/{version}", $"shared/Microsoft.AspNetCore.App/{version}"])
            {
                string to = Path.Combine(shared, "dotnet", part);
                Directory.CreateDirectory(Path.GetDirectoryName(to)!);
                (await Peer.RunAsync("cp", "-a", Path.Combine(dotnet, part), to)).OrThrow();
            }

            (await Peer.RunAsync("cp", "-a", Path.GetDirectoryName(ScuseServe.Dll)!, Path.Combine(shared, "bin"))).OrThrow();
        }

        await guest.MustRunAsync($"[ -d {Place} ] || cp -a /host/scuse {Place}");
        return new GuestScuse(guest);
    }

    /// <summary>Runs it with a line of arguments.</summary>
    public Task<Outcome> RunAsync(string arguments) =>
        _guest.RunAsync($"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 DOTNET_TieredPGO=0 DOTNET_ROOT={Place}/dotnet {Place}/dotnet/dotnet {Place}/bin/scuse.dll {arguments} 2>&1");

    /// <summary>The same, when it must go well; what it wrote.</summary>
    public async Task<string> MustRunAsync(string arguments) => (await RunAsync(arguments)).OrThrow().Output;
}
