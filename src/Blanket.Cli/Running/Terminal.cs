using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using Blanket.Lab.Hosting;
using Microsoft.Win32.SafeHandles;

namespace Blanket.Cli.Running;

/// <summary>The user's terminal in raw mode: every key goes to the guest. Restored on disposal and when a signal ends this process.</summary>
/// <remarks>System.Console would edit lines and echo, and restores modes of its own when a child process ends: it is not used here.</remarks>
internal sealed class Terminal : IDisposable
{
    private const int StandardInput = 0;
    private const int StandardOutput = 1;
    private const int ApplyWhenDrained = 1;

    /// <summary>More than sizeof(struct termios) on Linux, which is 60.</summary>
    private const int ModesSize = 256;

    private readonly byte[] _saved;
    private readonly PosixSignalRegistration[] _signals;
    private int _restored;

    private Terminal(byte[] saved)
    {
        _saved = saved;
        _signals =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => Restore()),
            PosixSignalRegistration.Create(PosixSignal.SIGHUP, _ => Restore()),
            PosixSignalRegistration.Create(PosixSignal.SIGQUIT, _ => Restore()),
        ];
        AppDomain.CurrentDomain.ProcessExit += OnProcessExit;
    }

    /// <summary>Keys, byte by byte.</summary>
    internal Stream Input { get; } = new FileStream(new SafeFileHandle(StandardInput, ownsHandle: false), FileAccess.Read, bufferSize: 0);

    /// <summary>What the user sees.</summary>
    internal Stream Output { get; } = new FileStream(new SafeFileHandle(StandardOutput, ownsHandle: false), FileAccess.Write, bufferSize: 0);

    /// <summary>Whether standard input and output are a terminal.</summary>
    internal static bool IsPresent => !Console.IsInputRedirected && !Console.IsOutputRedirected;

    /// <summary>Puts the terminal into raw mode.</summary>
    /// <exception cref="HostException">Standard input is no terminal.</exception>
    internal static Terminal Open()
    {
        byte[] modes = new byte[ModesSize];
        if (GetModes(StandardInput, modes) != 0)
        {
            throw new HostException("standard input is no terminal");
        }

        Terminal terminal = new([.. modes]);
        MakeRaw(modes);
        _ = SetModes(StandardInput, ApplyWhenDrained, modes);
        return terminal;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Restore();
        AppDomain.CurrentDomain.ProcessExit -= OnProcessExit;
        foreach (PosixSignalRegistration signal in _signals)
        {
            signal.Dispose();
        }
    }

    [DllImport("libc", EntryPoint = "tcgetattr")]
    private static extern int GetModes(int descriptor, byte[] modes);

    [DllImport("libc", EntryPoint = "tcsetattr")]
    private static extern int SetModes(int descriptor, int when, byte[] modes);

    [DllImport("libc", EntryPoint = "cfmakeraw")]
    private static extern void MakeRaw([In, Out] byte[] modes);

    private void OnProcessExit(object? sender, EventArgs arguments) => Restore();

    private void Restore()
    {
        if (Interlocked.Exchange(ref _restored, 1) == 0)
        {
            _ = SetModes(StandardInput, ApplyWhenDrained, _saved);
        }
    }
}
