using System.Xml.Linq;

namespace Scuse.Architecture.Tests;

public class The_bans
{
    [Fact]
    public void Hold_in_every_source_file() =>
        Assert.Empty(Repository.Projects.SelectMany(project => project.SourceFiles()
            .SelectMany(file => Bans.BrokenBy(project.Name, Path.GetFileName(file), File.ReadAllText(file)))));

    [Fact]
    public void Hold_in_every_project_file() =>
        Assert.Empty(Repository.Projects.Concat(Repository.PropertyFiles).SelectMany(Bans.BrokenBy));

    [Theory]
    [InlineData("Scuse.Engine", "unsafe void F() { }")]
    [InlineData("Scuse.Handlers", "fixed_; public unsafe struct S { }")]
    [InlineData("Scuse.Ring", "[DllImport(\"libc\")] static extern int getpid();")]
    [InlineData("Scuse.Engine", "[LibraryImport(\"libc\")] static partial int getpid();")]
    [InlineData("Scuse.Iscsi", "using System.Net.Sockets;")]
    [InlineData("Scuse.Iscsi", "var s = new Socket(a, b, c);")]
    [InlineData("Scuse.Device", "byte[] all = File.ReadAllBytes(path);")]
    [InlineData("Scuse.Device", "byte[] all = System.IO.File.ReadAllBytes(path);")]
    [InlineData("Scuse.Scsi", "using var stream = new FileStream(path, mode);")]
    [InlineData("Scuse.Target", "new Thread(Loop).Start();")]
    [InlineData("Scuse.Target", "Thread.Sleep(1);")]
    [InlineData("Scuse.Target", "System.Threading.Thread.Sleep(1);")]
    [InlineData("Scuse.Ring", "_ = Task.Run(Loop);")]
    [InlineData("Scuse.Ring", "await Task.Delay(1);")]
    [InlineData("Scuse.Iscsi", "var now = DateTime.UtcNow;")]
    [InlineData("Scuse.Iscsi", "log($\"at {DateTime.Now}\");")]
    [InlineData("Scuse.Target", "long now = Stopwatch.GetTimestamp();")]
    [InlineData("Scuse.Target", "long now = Environment.TickCount64;")]
    public void Are_found_broken_when_a_fault_is_planted(string project, string source) =>
        Assert.NotEmpty(Bans.BrokenBy(project, "Planted.cs", source));

    [Theory]
    [InlineData("Scuse.Linux", "unsafe void F() { }")]
    [InlineData("Scuse.Ring", "unsafe void F() { }")]
    [InlineData("Scuse.Linux", "[LibraryImport(\"libc\")] static partial int getpid();")]
    [InlineData("Scuse.Engine", "using System.Net.Sockets; long now = Stopwatch.GetTimestamp(); Thread.Sleep(1);")]
    public void Leave_the_projects_alone_that_are_made_for_it(string project, string source) =>
        Assert.Empty(Bans.BrokenBy(project, "Fine.cs", source));

    [Theory]
    [InlineData("// unsafe is not allowed; nor is Stopwatch")]
    [InlineData("/* Thread.Sleep(1);\n Task.Run */ int x;")]
    [InlineData("string s = \"DateTime.Now \\\" unsafe\";")]
    [InlineData("string s = @\"Stopwatch \"\" unsafe\";")]
    [InlineData("string s = \"\"\"\n  \"Stopwatch\" unsafe\n\"\"\";")]
    [InlineData("string s = $\"Stopwatch {x} unsafe {{Stopwatch}}\";")]
    [InlineData("char c = '\"'; int y; // unsafe \"")]
    public void Look_at_code_and_not_at_words_in_comments_or_strings(string source) =>
        Assert.Empty(Bans.BrokenBy("Scuse.Target", "Fine.cs", source));

    [Theory]
    [InlineData("char c = '\"'; unsafe void F() { } char d = '\"';")]
    [InlineData("string s = $\"{(a ? \"x\" : \"}\")}\"; unsafe void F() { }")]
    [InlineData("string s = $$\"\"\"{ {{Stopwatch.Now}} }\"\"\";")]
    [InlineData("string s = @\"\\\"; unsafe void F() { }")]
    public void Are_not_fooled_by_quotes_within_quotes(string source) =>
        Assert.NotEmpty(Bans.BrokenBy("Scuse.Target", "Planted.cs", source));

    [Fact]
    public void Name_the_file_the_line_and_the_reason() =>
        Assert.Equal(
            ["Scuse.Engine/Planted.cs:2 has `unsafe` (unsafe): pointers live in Scuse.Linux and Scuse.Ring."],
            Bans.BrokenBy("Scuse.Engine", "Planted.cs", "// line one\nunsafe void F() { }"));

    [Fact]
    public void Find_unsafe_blocks_allowed_in_a_project_file()
    {
        XDocument xml = XDocument.Parse("<Project><PropertyGroup><AllowUnsafeBlocks>true</AllowUnsafeBlocks></PropertyGroup></Project>");

        Assert.Single(Bans.BrokenBy(new Project("Scuse.Engine", "/x.csproj", [], xml)));
        Assert.Empty(Bans.BrokenBy(new Project("Scuse.Linux", "/x.csproj", [], xml)));
    }
}
