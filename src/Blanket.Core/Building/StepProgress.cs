using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>
/// How far a row of steps has come that is gone through from its first one again each time it goes on: steps that are over are passed, and the
/// one in which it stopped goes on from its part.
/// </summary>
internal struct StepProgress
{
    private int _over;
    private int _next;

    /// <summary>How much of the step is done; the step says in what unit.</summary>
    internal ulong Part;

    /// <summary>Before the first step, each time.</summary>
    internal void Restart() => _next = 0;

    /// <summary>Whether the next step is not over yet; if it is, the one behind it is next.</summary>
    internal bool TryEnter()
    {
        if (_next == _over)
        {
            return true;
        }

        _next++;
        return false;
    }

    /// <summary>The step that was entered is over.</summary>
    internal void Leave()
    {
        Check.That(_next == _over);
        _over++;
        _next++;
        Part = 0;
    }
}
