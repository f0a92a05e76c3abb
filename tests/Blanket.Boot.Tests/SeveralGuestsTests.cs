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
    /// system calls come by SYSENTER on the Intel CPU that software emulation can show, and by SYSCALL on the AMD CPU of Xen's bed.
    /// </summary>
    [Theory]
    [InlineData("kvm")]
    [InlineData("xen")]
    public async Task DifferentKernelsReachEachOther(string l0)
    {
        BootDirectory directory = BootDirectory.For($"{nameof(DifferentKernelsReachEachOther)}-{l0}");
        byte[] compat = await TestGuest.AssembleCompatProgramAsync(directory);
        string cloud = Pair(await TestGuest.CreateAsync(), directory, "cloud", CloudAddress, StandardAddress, compat);
        string standard = Pair(await TestGuest.CreateAsync("linux-image-amd64"), directory, "standard", StandardAddress, CloudAddress, compat);
        Accelerator accelerator = await AcceleratorProbe.ProbeAsync(CancellationToken.None);
        bool isIntel = l0 == "kvm" && !accelerator.IsKvm;
        string[] processor = isIntel ? ["--qemu-arg=-cpu", $"--qemu-arg={accelerator.CpuModel},vendor=GenuineIntel"] : [];
        BlanketCommand run = await BlanketCommand.RunAsync(directory, ["--l0", l0, cloud, standard, .. processor]);
        run.RequireStatus(0);
        foreach (string name in new[] { "cloud", "standard" })
        {
            run.RequireInLog(name, l0 == "xen" ? "compat: the kernel offers syscall" : isIntel ? "compat: the kernel offers sysenter" : "compat: the kernel offers sys");
            run.RequireInLog(name, "pair: passed");
            run.RequireInLog("blanket", $"event guest-poweroff name={name}");
        }

        run.RequireInLog("cloud", "-cloud-amd64");
        Audit.RequireNothingLeft(directory);
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
