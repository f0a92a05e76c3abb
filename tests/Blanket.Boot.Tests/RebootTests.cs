using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

public sealed partial class RebootTests
{
    private const int Starts = 4;

    /// <summary>A guest that reboots gets a new domain, its disk keeps what it wrote, and the old domain leaves no frame behind.</summary>
    [Fact]
    public async Task RebootedGuestStartsAgain()
    {
        BootDirectory directory = BootDirectory.For(nameof(RebootedGuestStartsAgain));
        TestGuest guest = await TestGuest.CreateAsync();
        string configuration = guest.WriteWithInit(
            directory, "rebooting", "reboot.sh", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)), "on_reboot = \"restart\"");
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [configuration]);
        run.RequireStatus(0);
        run.RequireInLog("rebooting", "reboot: start 1");
        run.RequireInLog("rebooting", "reboot: start 4");
        run.RequireInLog("blanket", "event guest-reboot name=rebooting");
        string[] free = [.. FramesFree().Matches(directory.ReadLog("blanket")).Select(match => match.Groups["count"].Value)];
        Assert.True(free.Length == Starts, $"Blanket told the free frames {free.Length} times, expected once before each of {Starts} starts");

        // Tables that the first domain makes larger stay so: later domains are compared with each other.
        Assert.True(free[1..].Distinct().Count() == 1, $"free frames before each start: {string.Join(", ", free)}; expected the same from the second on");
    }

    [GeneratedRegex("^blanket: frames free (?<count>[0-9]+)", RegexOptions.Multiline)]
    private static partial Regex FramesFree();
}
