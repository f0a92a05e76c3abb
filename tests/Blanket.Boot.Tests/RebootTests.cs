using System;
using System.Linq;
using System.Threading.Tasks;
using Blanket.Lab.Runs;
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

public sealed class RebootTests
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
        Audit.RequireNothingLeft(directory, Starts + 1);
    }

    /// <summary>What is typed on a guest's console before it is built, and while it is taken apart and built again, waits for it.</summary>
    [Fact]
    public Task WhatIsTypedWhileAGuestIsBuiltReachesIt() => TypeWhileAGuestIsBuiltAsync(nameof(WhatIsTypedWhileAGuestIsBuiltReachesIt), null);

    [Fact]
    public Task WhatIsTypedWhileAGuestIsBuiltOnXenReachesIt() =>
        TypeWhileAGuestIsBuiltAsync("Xen-" + nameof(WhatIsTypedWhileAGuestIsBuiltOnXenReachesIt), XenDomainType.Pvh);

    private static async Task TypeWhileAGuestIsBuiltAsync(string test, XenDomainType? xen)
    {
        const string name = "typed";
        const int memoryMiB = 128;
        BootDirectory directory = BootDirectory.For(test);
        int audits = 0;
        GuestMachine machine = null!;
        machine = new(directory)
        {
            Xen = xen,
            OnEvent = happening =>
            {
                // Audits are taken before the guests are built, between teardown and start, and at the end.
                if (happening.Name == RunEvent.Audit && audits++ < 2)
                {
                    machine.Type(name, audits == 1 ? "early" : "between");
                }
                else if (happening.Name == RunEvent.GuestReboot)
                {
                    machine.Type(name, "dying");
                }
            },
            OnLine = (_, line) =>
            {
                if (line.TrimEnd() is "flood: early" or "flood: between")
                {
                    machine.Type(name, line.TrimEnd() == "flood: early" ? "reboot" : "end");
                }
            },
        };
        await machine.RequirePoweroffAsync(TestKernel.Write(directory, name, memoryMiB, "flood=1", "on_reboot = \"restart\""));
        string[] said = [.. machine.Lines(name).Select(line => line.TrimEnd()).Where(line => line.StartsWith("flood:", StringComparison.Ordinal))];
        Assert.Equal(["flood:", "flood: early", "flood:", "flood: dying", "flood: between"], said);
    }
}
