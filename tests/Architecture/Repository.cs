using System.Runtime.CompilerServices;
using System.Xml.Linq;

namespace Scuse.Architecture.Tests;

/// <summary>The checked-out sources that these tests read.</summary>
static class Repository
{
    /// <summary>The folder that holds Scuse.slnx.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The projects that the reference table speaks of: everything under src/ and handlers/.</summary>
    public static IReadOnlyList<Project> Projects { get; } =
        [.. new[] { "src", "handlers" }
            .Select(folder => Path.Combine(Root, folder))
            .Where(Directory.Exists)
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*.csproj", SearchOption.AllDirectories))
            .Order(StringComparer.Ordinal)
            .Select(Project.Load)];

    /// <summary>The property files that apply to whole folders, read as projects without references.</summary>
    public static IReadOnlyList<Project> PropertyFiles { get; } =
        [.. new[] { "", "src", "handlers" }
            .Select(folder => Path.Combine(Root, folder, "Directory.Build.props"))
            .Where(File.Exists)
            .Select(Project.Load)];

    static string FindRoot([CallerFilePath] string thisFile = "")
    {
        for (DirectoryInfo? folder = new(Path.GetDirectoryName(thisFile)!); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Scuse.slnx")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException($"No Scuse.slnx above {thisFile}: these tests read the sources they were built from.");
    }
}

/// <summary>A project file and the C# files beside it.</summary>
sealed record Project(string Name, string FilePath, IReadOnlyList<string> References, XDocument Xml)
{
    public static Project Load(string filePath)
    {
        XDocument xml = XDocument.Load(filePath);
        List<string> references =
            [.. xml.Descendants("ProjectReference")
                .Select(reference => (string)reference.Attribute("Include")!)
                .Select(path => Path.GetFileNameWithoutExtension(path.Replace('\\', '/')))];
        return new Project(Path.GetFileNameWithoutExtension(filePath), filePath, references, xml);
    }

    /// <summary>The project's own C# files, without what a build generated.</summary>
    public IEnumerable<string> SourceFiles()
    {
        string folder = Path.GetDirectoryName(FilePath)!;
        return Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories)
            .Where(file => !Path.GetRelativePath(folder, file).Split('/').Any(part => part is "bin" or "obj"));
    }
}
