using System.Text.Json.Serialization;

namespace Scuse.Cli.Kernel;

/// <summary>How bad a finding is.</summary>
enum Severity
{
    /// <summary>As it should be.</summary>
    [JsonStringEnumMemberName("good")]
    Good,

    /// <summary>It works, but may surprise somebody.</summary>
    [JsonStringEnumMemberName("notice")]
    Notice,

    /// <summary>Something does not work, or will hang.</summary>
    [JsonStringEnumMemberName("problem")]
    Problem,
}

/// <summary>One thing that was looked at.</summary>
/// <param name="Severity">How bad it is.</param>
/// <param name="Subject">What was looked at.</param>
/// <param name="Text">What is there.</param>
/// <param name="Cure">What to do; null when there is nothing to be done.</param>
sealed record Finding(Severity Severity, string Subject, string Text, string? Cure = null);

/// <summary>Looks for what keeps user backstores from working, and tells what to do. It changes nothing.</summary>
sealed class Doctor(IKernelTree tree, KernelPaths paths, Processes processes, Func<string?> kernelLog)
{
    const string Module = "target_core_user";

    // What the kernel's log says of a ring that a handler has broken.
    static readonly string[] s_brokenRing = ["ring is broken", "ring broken"];

    /// <summary>Everything that was looked at, the basis first.</summary>
    public IReadOnlyList<Finding> Examine()
    {
        List<Finding> findings = [.. Basis()];
        if (findings.Any(static finding => finding.Severity == Severity.Problem))
        {
            return findings;
        }

        findings.AddRange(Notices());
        findings.AddRange(Ring());
        IReadOnlyList<Backstore> all = new Backstores(tree, paths, processes).List();
        if (all.Any(static backstore => !backstore.IsKnown))
        {
            return findings; // somebody waits to remove one, which is told: whoever looked into them would wait as well
        }

        findings.AddRange(all.SelectMany(Examine));
        if (all.Count == 0)
        {
            findings.Add(new Finding(Severity.Good, "backstores", "there are none", "scuse kernel create"));
        }

        return findings;
    }

    IEnumerable<Finding> Basis()
    {
        if (!tree.Exists(KernelPaths.ConfigFs) && !tree.Exists(paths.Target))
        {
            yield return new Finding(Severity.Problem, "configfs", $"there is no {KernelPaths.ConfigFs}", $"modprobe configfs; mount -t configfs none {KernelPaths.ConfigFs}");
            yield break;
        }

        if (!tree.Exists(Path.Combine(paths.Modules, Module)))
        {
            yield return new Finding(Severity.Problem, "module", $"{Module} is not loaded", $"modprobe {Module}; where there is no such module, this kernel was built without CONFIG_TCM_USER2");
            yield break;
        }

        yield return tree.Exists(paths.Core)
            ? new Finding(Severity.Good, "module", $"{Module} is loaded, and {paths.Core} is there")
            : new Finding(Severity.Problem, "configfs", $"{Module} is loaded, but there is no {paths.Core}", $"mount -t configfs none {KernelPaths.ConfigFs}");
    }

    IEnumerable<Finding> Notices()
    {
        string parameters = Path.Combine(paths.Modules, Module, "parameters");
        if (tree.Read(Path.Combine(parameters, "block_netlink"))?.Trim() is "blocked" or "1" or "Y")
        {
            yield return new Finding(Severity.Problem, "notices", "the kernel sends none: block_netlink is on, and backstores can neither be enabled nor removed", $"echo 0 > {parameters}/block_netlink");
        }

        HandlerProcess[] stuck = [.. processes.WaitingForAnswers()];
        foreach (HandlerProcess process in stuck)
        {
            yield return new Finding(
                Severity.Problem, "notices", $"{process} waits for a handler's answer, without an end",
                $"start the handler; if it is gone for good: cd {parameters}; echo 1 > block_netlink; echo 1 > reset_netlink; echo 0 > block_netlink");
        }

        if (stuck.Length == 0)
        {
            yield return new Finding(Severity.Good, "notices", "nobody waits for a handler's answer");
        }
    }

    IEnumerable<Finding> Ring()
    {
        string[] lines = [.. (kernelLog() ?? "").Split('\n').Where(static line => s_brokenRing.Any(words => line.Contains(words, StringComparison.OrdinalIgnoreCase)))];
        if (lines.Length > 0)
        {
            yield return new Finding(
                Severity.Notice, "rings", $"the kernel's log tells of a broken ring: {lines[^1].Trim()}",
                "its backstore answers nothing until the ring is reset: echo 1 > action/block_dev; echo 1 > action/reset_ring; restart the handler; echo 0 > action/block_dev");
        }
    }

    static IEnumerable<Finding> Examine(Backstore backstore)
    {
        int before = 0;
        if (!backstore.IsEnabled)
        {
            before++;
            yield return new Finding(Severity.Problem, backstore.Name, "it is not enabled", "write 1 to its enable, or scuse kernel remove it");
        }
        else if (backstore.Handler is null)
        {
            before++;
            string meanwhile = backstore switch
            {
                { Mappings.Count: 0 } => "nobody uses it",
                { IsHeldBack: true } => "commands are held back",
                { CommandSeconds: 0 } => "commands wait without an end (cmd_time_out is 0)",
                { CommandSeconds: { } seconds } => $"commands fail after {seconds} s",
                _ => "commands fail after their time limit",
            };
            yield return new Finding(backstore.Mappings.Count > 0 ? Severity.Problem : Severity.Notice, backstore.Name, $"no handler serves it; {meanwhile}", $"start a handler for '{backstore.Subtype}'");
        }
        else if (backstore.IsHeldBack)
        {
            before++;
            yield return new Finding(Severity.Problem, backstore.Name, $"commands are held back, although {backstore.Handler} serves it", "echo 0 > action/block_dev");
        }

        if (backstore is { WaitsForAnswers: true, Handler: null })
        {
            before++;
            yield return new Finding(
                Severity.Problem, backstore.Name, "who resizes or removes it now waits for a handler's answer, without an end",
                "start its handler, or echo -1 > attrib/nl_reply_supported; scuse kernel remove does that");
        }

        if (before == 0)
        {
            yield return new Finding(Severity.Good, backstore.Name, $"served by {backstore.Handler}");
        }
    }
}
