# What zsh offers at the end of a line: zsh -f zsh_candidates.zsh FOLDER LINE
# FOLDER has the completions. A second zsh runs on its own terminal, completes the line as if Tab were pressed, and
# prints each candidate.
zmodload zsh/zpty
zpty inner zsh -f -i
() {
    print -r -- "PROMPT= PROMPT2= RPS1= ; stty -echo; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D"
    print -r -- 'unsetopt zle_bracketed_paste prompt_sp 2>/dev/null; bindkey -e; bindkey "^I" complete-word'
    print -r -- 'zstyle ":completion:*" insert-tab false; zstyle ":completion:*" list-grouped false'
    print -r -- 'begin() { print -r -- "<candidates>" }; finish() { print -r -- "</candidates>"; exit }'
    print -r -- 'compprefuncs=(begin); comppostfuncs=(finish)'
    # Candidates that only go into an array are none yet.
    print -r -- 'compadd() {
        if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
        local -a found
        builtin compadd -A found "$@"
        (( ! $#found )) || print -rl -- "${found[@]}"
        builtin compadd "$@"
    }'
    print -r -- 'print re""ady'
} $1 | while IFS= read -r line; do zpty -w inner "$line"; done
while zpty -r inner line; do [[ $line != *ready* ]] || break; done
zpty -w -n inner "$2"$'\t'
inside=
while zpty -r inner line; do
    line=${line//$'\r'/}
    line=${line%$'\n'}
    case $line in
        *'</candidates>'*) break ;;
        *'<candidates>'*) inside=yes ;;
        *) [[ -z $inside ]] || print -r -- "$line" ;;
    esac
done
zpty -d inner
