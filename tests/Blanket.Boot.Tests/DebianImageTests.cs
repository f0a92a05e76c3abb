using System;
using System.Globalization;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Images;

namespace Blanket.Boot.Tests;

/// <summary>Images with Debian and its own kernel inside, made by <c>./blanket image</c> and booted through PV-GRUB.</summary>
public sealed class DebianImageTests
{
    private const string GuestName = "debian";

    /// <summary>A Debian starts for minutes on Xen without hardware acceleration.</summary>
    private const int TimeoutSeconds = 1200;

    private const string LoginPrompt = GuestName + " login:";

    /// <summary>
    /// To the login prompt, then SSH through <c>--forward</c> with a key, which powers the guest off. The standard kernel has a payload that PV-GRUB
    /// reads, the cloud kernel's is unpacked by the image's zz-pv-grub, and five times as large. The image is the same on both L0s.
    /// </summary>
    [Theory]
    [InlineData(DebianImage.DefaultKernelPackage, "amd64", "kvm")]
    [InlineData("linux-image-cloud-amd64", "cloud-amd64", "kvm")]
    [InlineData(DebianImage.DefaultKernelPackage, "amd64", "xen")]
    public async Task BootsThroughPvGrubToALoginAndSsh(string kernelPackage, string flavour, string l0)
    {
        BootDirectory directory = BootDirectory.For($"{nameof(BootsThroughPvGrubToALoginAndSsh)}-{flavour}-{l0}");
        string key = directory.PathOf("key");
        await Tool.RequireAsync("ssh-keygen", ["-q", "-N", string.Empty, "-t", "ed25519", "-f", key]);
        string image = directory.PathOf(GuestName + ".raw");
        BlanketCommand made = await BlanketCommand.CallAsync(directory, ["image", image, "--kernel", kernelPackage, "--ssh-key", key + ".pub"]);
        made.RequireStatus(0);

        int port = FreePort();
        Task<BlanketCommand> running = BlanketCommand.RunAsync(
            directory, ["--l0", l0, Path.ChangeExtension(image, ".cfg"), "--forward", string.Create(CultureInfo.InvariantCulture, $"{port}:22")], TimeoutSeconds);
        string release = await LogInAsync(directory, running, key, port);
        BlanketCommand run = await running;
        run.RequireStatus(0);
        run.RequireInLog(GuestName, LoginPrompt);
        Assert.EndsWith(flavour, release, StringComparison.Ordinal);
        File.Delete(image);
    }

    /// <summary>Asks for the kernel's release and powers the guest off, as soon as the guest lets somebody in.</summary>
    private static async Task<string> LogInAsync(BootDirectory directory, Task running, string key, int port)
    {
        string[] arguments =
        [
            "-p", port.ToString(CultureInfo.InvariantCulture), "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=60",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "root@127.0.0.1",
        ];
        ToolResult answer;
        do
        {
            Assert.False(running.IsCompleted, $"the run ended before anybody could log in (logs: {directory.Root})");
            await Task.WhenAny(running, Task.Delay(TimeSpan.FromSeconds(1)));
            answer = HasPrompt(directory) ? await Tool.RunAsync("ssh", [.. arguments, "uname -r"]) : new ToolResult(1, [], string.Empty);
        }
        while (answer.ExitCode != 0);

        // The connection may end before the program's status comes.
        await Tool.RunAsync("ssh", [.. arguments, "systemctl poweroff"]);
        return answer.Text.Trim();
    }

    private static bool HasPrompt(BootDirectory directory) =>
        File.Exists(directory.PathOf(GuestName + ".log")) && directory.ReadLog(GuestName).Contains(LoginPrompt, StringComparison.Ordinal);

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
