using System.CommandLine;
using Scuse.Engine.Management;

namespace Scuse.Cli.Commands;

/// <summary>An argument that says which logical unit is meant: its number, or its target's name before it.</summary>
sealed class LunArgument : Argument<string?>
{
    public LunArgument(string description = "The logical unit number; of the first target, or TARGET/LUN: by a target's name, or what stands behind its last colon", bool isOptional = false)
        : base("LUN")
    {
        Description = description;
        Arity = isOptional ? ArgumentArity.ZeroOrOne : ArgumentArity.ExactlyOne;
    }

    /// <summary>The logical unit that was given; null: none.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public LunReference? Of(ParseResult parsed) => parsed.GetValue(this) is { } text ? LunReference.Parse(text) : null;

    /// <summary>Where the control interface has the logical unit that was given; null: none was.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public string? ResourceOf(ParseResult parsed) => Of(parsed) is { } lun ? ResourceOf(lun) : null;

    /// <summary>Where the control interface has a logical unit.</summary>
    public static string ResourceOf(LunReference lun) => lun.Target is { } target ? $"{TargetResource(target)}/luns/{lun.Number}" : $"luns/{lun.Number}";

    /// <summary>Where the control interface has a target.</summary>
    public static string TargetResource(string target) => $"targets/{Uri.EscapeDataString(target)}";
}
