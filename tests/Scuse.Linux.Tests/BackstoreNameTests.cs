namespace Scuse.Linux.Tests;

/// <summary>The names of user backstores' UIO devices.</summary>
public sealed class BackstoreNameTests
{
    [Theory]
    [InlineData("tcm-user/0/disk/scuse-memory/64M", 0, "disk", "scuse-memory", "64M")]
    [InlineData("tcm-user/12/disk/scuse-file//data/a.img?thick=1", 12, "disk", "scuse-file", "/data/a.img?thick=1")]
    [InlineData("tcm-user/0/disk/scuse-memory/", 0, "disk", "scuse-memory", "")]
    [InlineData("tcm-user/0/disk/scuse-memory", 0, "disk", "scuse-memory", "")]
    [InlineData("tcm-user/0/disk", 0, "disk", "", "")]
    public void A_name_is_hba_device_subtype_and_text(string text, uint hba, string device, string subtype, string own) =>
        Assert.Equal((hba, device, subtype, own), BackstoreName.Parse(text) is { } name ? (name.Hba, name.Device, name.Subtype, name.Text) : default);

    [Theory]
    [InlineData("tcm-user/0/disk/scuse-file//data/a.img", "user_0/disk", "scuse-file//data/a.img")]
    [InlineData("tcm-user/0/disk/scuse-memory/", "user_0/disk", "scuse-memory/")]
    [InlineData("tcm-user/7/disk", "user_7/disk", "")]
    public void It_tells_the_folder_and_the_configuration_as_it_was_given(string text, string path, string configuration) =>
        Assert.Equal((path, configuration), BackstoreName.Parse(text) is { } name ? (name.Path, name.Configuration) : default);

    [Theory]
    [InlineData("")]
    [InlineData("uio_pci_generic")]
    [InlineData("tcm-user/")]
    [InlineData("tcm-user/0")]
    [InlineData("tcm-user/0/")]
    [InlineData("tcm-user/x/disk/scuse-memory")]
    [InlineData("tcm-user/-1/disk/scuse-memory")]
    [InlineData("my-tcm-user/0/disk")]
    public void Other_names_are_none(string text) => Assert.Null(BackstoreName.Parse(text));

    [Theory]
    [InlineData("user_3/disk", true)]
    [InlineData("disk", true)]
    [InlineData("user_0/disk", false)]
    [InlineData("dis", false)]
    public void The_operator_may_leave_the_hba_out(string name, bool isMeant) => Assert.Equal(isMeant, new BackstoreName(3, "disk", "").Matches(name));
}
