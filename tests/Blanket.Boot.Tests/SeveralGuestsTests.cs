using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Qemu;

namespace Blanket.Boot.Tests;

public sealed class SeveralGuestsTests
{
    private const string CloudAddress = "192.168.77.1";
    private const string StandardAddress = "192.168.77.2";

    /// <summary>Two guests at the same time, each with its disk and on the same bridge, do not get in each other's way.</summary>
    [Fact]
    public async Task BothPassTheirSelfTests()
    {
        BootDirectory directory = BootDirectory.For(nameof(BothPassTheirSelfTests));
        TestGuest guest = await TestGuest.CreateAsync();
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [Write(guest, directory, "first"), Write(guest, directory, "second")]);
        run.RequireStatus(0);
        run.RequireInLog("first", "selftest: passed");
        run.RequireInLog("second", "selftest: passed");
        run.RequireInLog("blanket", "event guest-poweroff name=first");
        run.RequireInLog("blanket", "event guest-poweroff name=second");
    }

    /// <summary>
    /// Debian's cloud and standard kernels at once, with disks, pinging each other over the bridge; both run a 32-bit program, whose
    /// system calls come by SYSENTER on the Intel CPU that software emulation can show.
    /// </summary>
    [Fact]
    public async Task DifferentKernelsReachEachOther()
    {
        BootDirectory directory = BootDirectory.For(nameof(DifferentKernelsReachEachOther));
        byte[] compat = await TestGuest.AssembleCompatProgramAsync(directory);
        string cloud = Pair(await TestGuest.CreateAsync(), directory, "cloud", CloudAddress, StandardAddress, compat);
        string standard = Pair(await TestGuest.CreateAsync("linux-image-amd64"), directory, "standard", StandardAddress, CloudAddress, compat);
        Accelerator accelerator = await AcceleratorProbe.ProbeAsync(CancellationToken.None);
        string[] processor = accelerator.IsKvm ? [] : ["--qemu-arg=-cpu", $"--qemu-arg={accelerator.CpuModel},vendor=GenuineIntel"];
        BlanketCommand run = await BlanketCommand.RunAsync(directory, [cloud, standard, .. processor]);
        run.RequireStatus(0);
        foreach (string name in new[] { "cloud", "standard" })
        {
            run.RequireInLog(name, accelerator.IsKvm ? "compat: the kernel offers sys" : "compat: the kernel offers sysenter");
            run.RequireInLog(name, "pair: passed");
        }

        run.RequireInLog("cloud", "-cloud-amd64");
    }

    private static string Pair(TestGuest guest, BootDirectory directory, string name, string address, string peer, byte[] compat) =>
        guest.WriteWithInit(
            directory,
            name,
            "pair.sh",
            $"address={address} peer={peer}",
            compat,
            TestGuest.Disks(directory.CreateDisk(name + ".raw", 4)),
            "vif = [ \"\" ]");

    private static string Write(TestGuest guest, BootDirectory directory, string name) =>
        guest.Write(
            directory, name, "panic=-1 blanket.selftest", TestGuest.Disks(directory.CreateDisk(name + ".raw", 64)), "vif = [ \"\" ]");
}
