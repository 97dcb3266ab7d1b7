namespace Scuse.Handlers.Tests;

public sealed class SizeTextTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("512", 512)]
    [InlineData("64K", 65536)]
    [InlineData("1m", 1 << 20)]
    [InlineData("10G", 10L << 30)]
    [InlineData("8T", 8L << 40)]
    [InlineData("8388607T", 8388607L << 40)]
    public void Sizes_are_numbers_with_powers_of_1024(string text, long bytes) => Assert.Equal(bytes, SizeText.Parse(text));

    [Theory]
    [InlineData("")]
    [InlineData("G")]
    [InlineData("12X")]
    [InlineData("-1")]
    [InlineData("+1K")]
    [InlineData(" 1K")]
    [InlineData("1.5G")]
    [InlineData("1KB")]
    public void Anything_else_is_named_in_the_message(string text)
    {
        FormatException problem = Assert.Throws<FormatException>(() => SizeText.Parse(text));

        Assert.Equal($"size '{text}' is not a number with K, M, G or T", problem.Message);
        Assert.False(SizeText.TryParse(text, out _));
    }

    [Theory]
    [InlineData("8388608T")]
    [InlineData("99999999999999999999")]
    public void What_does_not_fit_is_too_large(string text) =>
        Assert.Equal($"size '{text}' is too large", Assert.Throws<FormatException>(() => SizeText.Parse(text)).Message);

    [Theory]
    [InlineData(0, "0")]
    [InlineData(1000, "1000")]
    [InlineData(1536L << 20, "1536M")]
    [InlineData(1L << 50, "1024T")]
    public void Sizes_are_written_in_the_largest_whole_unit(long bytes, string text) => Assert.Equal(text, SizeText.Format(bytes));
}

public sealed class HandlerSpecTests
{
    [Fact]
    public void A_spec_is_a_main_part_and_options()
    {
        HandlerSpec spec = HandlerSpec.Parse("/data/a.img?size=1G&block=4096&readonly=1", "size", "block", "readonly");

        Assert.Equal(("/data/a.img", 1L << 30, 4096, true), (spec.Main, spec.GetSize("size")!.Value, spec.GetBlockSize("block")!.Value, spec.GetFlag("readonly")));
    }

    [Theory]
    [InlineData("a?colour=red", "option 'colour' in 'a?colour=red' is unknown; known are size, block")]
    [InlineData("a?size=1&size=2", "option 'size' in 'a?size=1&size=2' is given twice")]
    [InlineData("a?size", "option 'size' in 'a?size' is not of the form key=value")]
    [InlineData("a?", "option '' in 'a?' is not of the form key=value")]
    public void Wrong_options_are_named(string text, string message) =>
        Assert.Equal(message, Assert.Throws<FormatException>(() => HandlerSpec.Parse(text, "size", "block")).Message);

    [Fact]
    public void Values_that_make_no_sense_are_named()
    {
        HandlerSpec spec = HandlerSpec.Parse("a?block=1024&readonly=yes", "block", "readonly");

        Assert.Equal("block '1024' is not a block size; 512 and 4096 are", Assert.Throws<FormatException>(() => spec.GetBlockSize("block")).Message);
        Assert.Equal("readonly 'yes' is neither 0 nor 1", Assert.Throws<FormatException>(() => spec.GetFlag("readonly")).Message);
    }
}

public sealed class HandlerOptionsTests
{
    [Fact]
    public void The_command_line_comes_before_the_environment()
    {
        Dictionary<string, string> environment = new() { ["SCUSE_SOCKET"] = "/env", ["SCUSE_DEVICE"] = "env" };

        HandlerOptions options = HandlerOptions.Parse(["--socket=/arg", "--size", "2K"], environment.GetValueOrDefault);

        Assert.Equal(("/arg", "env", 2048), (options.Socket, options.Devices.Single(), options.SizeBytes));
    }

    [Theory]
    [InlineData("a,b,c", new string[0], new[] { "a", "b", "c" })]
    [InlineData("a", new[] { "--device", "b,c", "--device=d" }, new[] { "b", "c", "d" })]
    public void Devices_are_named_one_by_one_or_in_a_list(string environment, string[] args, string[] devices) =>
        Assert.Equal(devices, HandlerOptions.Parse(args, name => name == "SCUSE_DEVICE" ? environment : null).Devices);

    [Theory]
    [InlineData("a,", "--device 'a,' has an empty name in it")]
    [InlineData("a,b,a", "device 'a' is named twice")]
    public void A_list_of_devices_that_makes_no_sense_is_one_line(string devices, string message) =>
        Assert.Equal(message, Assert.Throws<FormatException>(() => HandlerOptions.Parse(["--device", devices], _ => null)).Message);

    [Theory]
    [InlineData(null, new string[0], false)]
    [InlineData("0", new string[0], false)]
    [InlineData("1", new string[0], true)]
    [InlineData(null, new[] { "--replace" }, true)]
    public void A_successor_is_told_so_by_an_option_or_by_the_environment(string? environment, string[] args, bool replaces) =>
        Assert.Equal(replaces, HandlerOptions.Parse(args, name => name == "SCUSE_REPLACE" ? environment : null).Replace);

    [Theory]
    [InlineData("--colour", "option '--colour' is unknown; --help lists those that are known")]
    [InlineData("--size", "option '--size' needs a value")]
    [InlineData("--size=12X", "size '12X' is not a number with K, M, G or T")]
    [InlineData("--block-size=1000", "--block-size '1000' is not a block size; 512 and 4096 are")]
    [InlineData("--spin-us=-1", "--spin-us '-1' is not a number of microseconds from 0 to 1000")]
    [InlineData("--portal=1.2.3.4", "option '--portal' goes with --serve")]
    [InlineData("--subtype=a/b", "--subtype 'a/b' is not a name without slashes")]
    [InlineData("--recovery=pray", "--recovery 'pray' is no way; reset and continue are")]
    public void A_wrong_command_line_is_one_line(string argument, string message) =>
        Assert.Equal(message, Assert.Throws<FormatException>(() => HandlerOptions.Parse([argument], _ => null)).Message);

    [Theory]
    [InlineData("--serve")]
    [InlineData("--replace")]
    public void With_the_kernel_as_target_there_is_no_other(string other) =>
        Assert.Equal($"option '--kernel' does not go with '{other}'", Assert.Throws<FormatException>(() => HandlerOptions.Parse(["--kernel", other], _ => null)).Message);

    [Theory]
    [InlineData(new[] { "--kernel", "--name", "Memory" }, "scuse-memory", false)]
    [InlineData(new[] { "--kernel", "--subtype", "mine", "--recovery=continue" }, "mine", true)]
    public void Behind_the_kernel_a_subtype_says_whose_a_backstore_is(string[] args, string subtype, bool continues)
    {
        HandlerOptions options = HandlerOptions.Parse(args, _ => null);

        Assert.Equal((true, subtype, continues), (options.Kernel, options.Subtype, options.Continues));
    }

    [Fact]
    public void With_serve_the_handlers_own_options_and_the_targets_part()
    {
        HandlerOptions options = HandlerOptions.Parse(["--serve", "--size", "1G", "--portal", "127.0.0.1:0", "mine", "--", "--rest"], _ => null);

        Assert.True(options.Serve);
        Assert.Equal(["--portal", "127.0.0.1:0"], options.ServeArguments);
        Assert.Equal(["--size", "1G", "mine", "--", "--rest"], options.HandlerArguments);
        Assert.Equal(["mine", "--rest"], options.Rest);
    }

    [Theory]
    [InlineData("/usr/bin/app", "/usr/bin/app")]
    [InlineData("two words", "'two words'")]
    [InlineData("it's", @"'it'\''s'")]
    [InlineData("", "''")]
    public void Words_are_quoted_for_the_shell_only_where_they_must_be(string word, string quoted) => Assert.Equal(quoted, Handler.Quoted(word));

    [Fact]
    public async Task A_handler_without_a_device_says_what_is_missing()
    {
        StringWriter errors = new();

        Assert.Equal(2, await new HandlerHost(HandlerOptions.Parse([], _ => null), (_, _, _) => default, errors).RunAsync());

        Assert.Contains("--device NAME", errors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_socket_the_one_that_every_engine_of_the_user_has_is_meant() =>
        Assert.Equal("/run/user/7/scuse/engine.sock", HandlerOptions.Parse([], name => name == "XDG_RUNTIME_DIR" ? "/run/user/7" : null).Socket);
}
