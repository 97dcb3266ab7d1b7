using System.Text.Json.Serialization.Metadata;
using Scuse.Cli.Control;

namespace Scuse.Cli.Commands;

/// <summary>A table whose rows belong to targets: which one is said where the engine has several.</summary>
static class TargetColumn
{
    /// <summary>Gets a list, and shows it as it is or as a table with a column for the target in front where there are several.</summary>
    public static async Task ShowAsync<T>(
        ControlClient engine,
        string resource,
        JsonTypeInfo<IReadOnlyList<T>> type,
        bool asJson,
        IReadOnlyList<Column> columns,
        Func<T, string?> targetOf,
        Func<T, IReadOnlyList<string?>> cells,
        CancellationToken cancellation)
    {
        string text = await engine.GetTextAsync(resource, cancellation);
        if (asJson)
        {
            Console.Write(text);
            return;
        }

        bool areSeveral = (await engine.GetAsync("status", ControlJson.Default.EngineStatus, cancellation)).Targets.Count > 1;
        Report.Table(areSeveral ? ["TARGET", .. columns] : columns, ControlClient.Parse(text, type).Select(row => areSeveral ? [targetOf(row), .. cells(row)] : cells(row)));
    }
}
