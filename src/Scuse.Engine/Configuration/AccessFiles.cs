namespace Scuse.Engine;

/// <summary>The files that CHAP users were read from, read again.</summary>
static class AccessFiles
{
    /// <summary>The options with what stands in the files now.</summary>
    /// <exception cref="EngineException">Something is wrong with one of them, or there is none; the message is one line for the operator, without a secret.</exception>
    public static EngineOptions ReadAgain(EngineOptions options)
    {
        if (options.ChapFile is null && options.Targets.All(static target => target.ChapFile is null))
        {
            throw new EngineException("the engine was started without --chap-file: there is nothing to read again");
        }

        try
        {
            Dictionary<string, ChapFile> files = new(StringComparer.Ordinal);
            EngineOptions next = options with
            {
                Targets = [.. options.Targets.Select(target => target.ChapFile is { } path ? ReadAgain(target, Load(files, path), options.AllowAnyone) : target)],
                DiscoveryAccess = options.ChapFile is { } own ? options.DiscoveryAccess with { Chap = Load(files, own).ForDiscovery } : options.DiscoveryAccess,
            };
            next.DiscoveryAccess.ToRules();
            return next;
        }
        catch (FormatException exception)
        {
            throw new EngineException(exception.Message, exception);
        }
    }

    static TargetOptions ReadAgain(TargetOptions target, ChapFile file, bool allowAnyone)
    {
        TargetOptions next = target with { Access = target.Access with { Chap = file.ForTarget } };
        next.Access.ToRules();
        return target.Access.IsRestricted && !next.Access.IsRestricted && !allowAnyone
            ? throw new FormatException($"{target.ChapFile} names no users any more, which would let everybody log in")
            : next;
    }

    static ChapFile Load(Dictionary<string, ChapFile> files, string path) => files.TryGetValue(path, out ChapFile? file) ? file : files[path] = ChapFile.Load(path);
}
