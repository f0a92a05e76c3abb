using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Qemu;

/// <summary>Finds out whether /dev/kvm runs a guest; its mere presence does not say so.</summary>
public static class AcceleratorProbe
{
    private const string Device = "/dev/kvm";
    private const int FirmwareSize = 64 << 10;
    private const int ResetVectorOffset = FirmwareSize - 16;
    private const byte ExitPort = 0xF4;
    private const byte ExitValue = 0x10;

    /// <summary>isa-debug-exit ends QEMU with twice the value plus one.</summary>
    private const int ExpectedStatus = (ExitValue << 1) | 1;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>KVM if a guest of a few instructions runs with it, otherwise TCG.</summary>
    public static async Task<Accelerator> ProbeAsync(CancellationToken cancellation)
    {
        if (!File.Exists(Device))
        {
            return new Accelerator(false, $"there is no {Device}");
        }

        if (!IsAccessible())
        {
            return new Accelerator(false, $"{Device} may not be opened by this user (group kvm)");
        }

        return await RunsGuestAsync(cancellation).ConfigureAwait(false)
            ? new Accelerator(true, $"{Device} runs guests")
            : new Accelerator(false, $"{Device} exists but does not run a guest");
    }

    /// <summary>Firmware that says at the reset vector, in real mode: this CPU runs.</summary>
    internal static byte[] Firmware()
    {
        byte[] firmware = new byte[FirmwareSize];
        ReadOnlySpan<byte> code =
        [
            0xB0, ExitValue, // mov al, ExitValue
            0xE6, ExitPort, // out ExitPort, al
            0xF4, // hlt
        ];
        code.CopyTo(firmware.AsSpan(ResetVectorOffset));
        return firmware;
    }

    /// <summary>Runs the firmware with an accelerator of QEMU's.</summary>
    internal static async Task<bool> RunsFirmwareAsync(string accelerator, string cpu, CancellationToken cancellation)
    {
        string path = Path.GetTempFileName();
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Patience);
        try
        {
            await File.WriteAllBytesAsync(path, Firmware(), cancellation).ConfigureAwait(false);
            string[] arguments =
            [
                "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-accel", accelerator, "-cpu", cpu, "-m", "16",
                "-bios", path, "-device", $"isa-debug-exit,iobase=0x{ExitPort:x},iosize=1",
            ];
            ToolResult result = await Tool.RunAsync(QemuCommandLine.Program, arguments, cancellation: limit.Token).ConfigureAwait(false);
            return result.ExitCode == ExpectedStatus;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false;
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static Task<bool> RunsGuestAsync(CancellationToken cancellation) => RunsFirmwareAsync("kvm", "host", cancellation);

    private static bool IsAccessible()
    {
        try
        {
            using FileStream stream = new(Device, FileMode.Open, FileAccess.ReadWrite);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
